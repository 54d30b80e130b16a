"""Keys of the roles: in the environment, or in files of the Solana CLI's format (a JSON array of 64 bytes) that are private.

Nothing here writes a secret to a log or into an error: solders' `str(Keypair)` is the secret itself, so callers
print `keypair.pubkey()` only.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from solders.keypair import Keypair

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings

Role = Literal["fee_payer", "submitter", "certifier", "authority"]
VARIABLES: dict[Role, str] = {
    "fee_payer": "GRIDTOKENX_FEE_PAYER_KEY",
    "submitter": "GRIDTOKENX_SUBMITTER_KEY",
    "certifier": "GRIDTOKENX_CERTIFIER_KEY",
    "authority": "GRIDTOKENX_AUTHORITY_KEY",
}
"""Environment variables that take the place of key files: each holds a path, or the JSON array itself."""
_APART: dict[Role, tuple[Role, ...]] = {
    "certifier": ("submitter", "authority"),
    "submitter": ("certifier",),
    "authority": ("certifier",),
}


class KeyFileError(Exception):
    """A keypair file is missing, unreadable, not a keypair, or open to others. The message names the file and the remedy."""


def load(path: Path) -> Keypair:
    """Read the keypair at `path`. Raises `KeyFileError`, also where group or others have any permission on the file."""
    content = read_private(path, 4096)
    try:
        return Keypair.from_bytes(bytes(json.loads(content)))
    except (ValueError, TypeError):
        # The original error may quote the content, so it must not become the cause.
        raise KeyFileError(f"{path}: not a keypair file (a JSON array of 64 bytes whose halves belong together)") from None


def load_or_create(path: Path) -> Keypair:
    """Read the keypair at `path`, or make one there with mode 0600; racing callers get the same key. Raises `KeyFileError`."""
    if not path.exists():
        create_private(path, json.dumps(list(bytes(Keypair()))).encode())
    return load(path)


def role_key(settings: Settings, role: Role) -> Keypair:
    """Return the key of `role`: of its environment variable (`VARIABLES`), else of its file, which is made where missing.

    With `settlement.fee_payer` = `submitter` the fee payer's key is the submitter's. The authority's key is never made. Raises
    `KeyFileError`, also where the certifier's key is the submitter's or the authority's: who certifies energy neither reports it
    nor governs.
    """
    if role == "fee_payer" and settings.settlement.fee_payer == "submitter":
        role = "submitter"
    key = _key(settings, role)
    for other in _APART.get(role, ()):
        if (others := known_key(settings, other)) is not None and key.pubkey() == others.pubkey():
            raise KeyFileError(f"{role} and {other} have the same key {key.pubkey()}; they must differ")
    return key


def known_key(settings: Settings, role: Role) -> Keypair | None:
    """Return the key of `role`, or `None` where there is none yet. Raises `KeyFileError` for one that cannot be used."""
    if os.environ.get(VARIABLES[role], "").strip() or _file(settings, role).exists():
        return _key(settings, role)
    return None


def _key(settings: Settings, role: Role) -> Keypair:
    if text := os.environ.get(VARIABLES[role], "").strip():
        return _given(VARIABLES[role], text)
    return load(settings.authority_key) if role == "authority" else load_or_create(_file(settings, role))


def _file(settings: Settings, role: Role) -> Path:
    if role == "fee_payer":
        return settings.payer_key
    if role == "submitter":
        return settings.submitter_key
    return settings.certifier_key if role == "certifier" else settings.authority_key


def _given(variable: str, text: str) -> Keypair:
    if not text.startswith("["):
        return load(Path(text).expanduser())
    try:
        return Keypair.from_bytes(bytes(json.loads(text)))
    except (ValueError, TypeError):
        # Neither the text nor the original error, which may quote it, may be shown.
        raise KeyFileError(
            f"{variable}: not a keypair (a path, or a JSON array of 64 bytes whose halves belong together)"
        ) from None


def read_private(path: Path, most: int) -> bytes:
    """Return the first `most` bytes of `path`. Raises `KeyFileError`, also where group or others have any permission on it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(most)
    except FileNotFoundError as error:
        raise KeyFileError(f"{path}: no such keypair file") from error
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read ({error.strerror})") from error
    if mode & 0o077:
        raise KeyFileError(f"{path}: mode {mode:04o} lets others use the key; run: chmod 600 {path}")
    return content


def create_private(path: Path, content: bytes) -> None:
    """Make the file `path` with mode 0600, and its directories; where somebody was first, theirs stays."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Written aside and linked, so that the name never shows a half-written file and the first writer wins.
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
