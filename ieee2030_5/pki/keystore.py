"""Where the keys of authorities are: files of the directory, or a PKCS#11 token."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from ieee2030_5.keyfiles import PkiError, load_key, write_atomically

from .credential import key_pem
from .token import TokenOptions, create_token_key, token_key


class KeyStore(Protocol):
    """Keys of authorities by name (`ca`, `issuing`)."""

    def at_hand(self, name: str) -> bool:
        """Whether a look at the key costs nothing, so that it is checked each time the authority is opened."""

    def load(self, name: str) -> ec.EllipticCurvePrivateKey | None:
        """Return the key, or None where there is none. Raises `PkiError` or `PermissionError` for one that cannot be used."""

    def create(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Make a P-256 key that stays."""

    def where(self, name: str) -> str:
        """Say where the key is, to a human."""


class FileKeys:
    """`<name>.key` in a directory, 0600. A key that is kept elsewhere on purpose leaves `<name>.key.offline` behind."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def at_hand(self, name: str) -> bool:
        """Whether it is not declared to be elsewhere."""
        return self._path(name).exists() or not self._path(name).with_name(f"{name}.key.offline").exists()

    def load(self, name: str) -> ec.EllipticCurvePrivateKey | None:
        """Read the file."""
        return load_key(self._path(name)) if self._path(name).exists() else None

    def create(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Make a key and write it."""
        key = ec.generate_private_key(ec.SECP256R1())
        write_atomically(self._path(name), key_pem(key), 0o600)
        return key

    def where(self, name: str) -> str:
        """The file."""
        return str(self._path(name))

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.key"


class TokenKeys:
    """Keys in a token; it is asked only when something has to be signed, so servers start without its PIN."""

    def __init__(self, options: TokenOptions) -> None:
        self._options = options

    def at_hand(self, name: str) -> bool:
        """Never: a token may be in a safe."""
        return False

    def load(self, name: str) -> ec.EllipticCurvePrivateKey | None:
        """Find the key in the token."""
        return token_key(self._options, name)

    def create(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Make the key inside the token."""
        return create_token_key(self._options, name)

    def where(self, name: str) -> str:
        """The token and the key's label."""
        return f"{self._options.prefix}-{name} in token {self._options.label}"


def key_store(directory: Path, token: TokenOptions | None) -> KeyStore:
    """Return where the authority of a directory keeps its keys; `token` is remembered for later runs.

    Raises `PkiError` for a token where the authority already has its keys in files: they would stay there unprotected.
    """
    path = directory / "token.json"
    kept = TokenOptions.load(path)
    if token is not None and token != kept:
        if kept is None and any((directory / name).exists() for name in ("ca.pem", "ca.key", "issuing.key")):
            raise PkiError(f"{directory} already has an authority with its keys in files: move it away to start one in a token")
        token.save(path)
    options = token or kept
    return FileKeys(directory) if options is None else TokenKeys(options)
