"""Keypair files in the Solana CLI's format (a JSON array of 64 bytes), readable by their owner alone.

Nothing here writes a secret to a log or into an error: solders' `str(Keypair)` is the secret itself, so callers
print `keypair.pubkey()` only.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path

from solders.keypair import Keypair


class KeyFileError(Exception):
    """A keypair file is missing, unreadable, not a keypair, or open to others. The message names the file and the remedy."""


def load(path: Path) -> Keypair:
    """Read the keypair at `path`. Raises `KeyFileError`, also where group or others have any permission on the file."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(4096)
    except FileNotFoundError as error:
        raise KeyFileError(f"{path}: no such keypair file") from error
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read ({error.strerror})") from error
    if mode & 0o077:
        raise KeyFileError(f"{path}: mode {mode:04o} lets others use the key; run: chmod 600 {path}")
    try:
        return Keypair.from_bytes(bytes(json.loads(content)))
    except (ValueError, TypeError):
        # The original error may quote the content, so it must not become the cause.
        raise KeyFileError(f"{path}: not a keypair file (a JSON array of 64 bytes whose halves belong together)") from None


def load_or_create(path: Path) -> Keypair:
    """Read the keypair at `path`, or make one there with mode 0600; racing callers get the same key. Raises `KeyFileError`."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _create(path, Keypair())
    return load(path)


def _create(path: Path, keypair: Keypair) -> None:
    # Written aside and linked, so that the name never shows a half-written file and the first writer wins.
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            json.dump(list(bytes(keypair)), file)
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
