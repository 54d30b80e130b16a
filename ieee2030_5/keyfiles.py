"""Certificates and private keys as files: read with care, written in one step."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ieee2030_5.identity import lfdi_of


class PkiError(Exception):
    """Certificates or keys on disk that must not be used or replaced without a human."""


def check_private(path: Path | str) -> None:
    """Refuse a key file that its group or others can read or write: raises `PermissionError` naming it and the remedy."""
    path = Path(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise PermissionError(
            f"{path} is open to others (mode {mode:04o}): chmod 600 it, and replace the key if it may have leaked"
        )


def load_certificate(path: Path | str) -> x509.Certificate:
    """Read a PEM certificate. Raises `PkiError` for a bad one, `FileNotFoundError` for none."""
    try:
        return x509.load_pem_x509_certificate(Path(path).read_bytes())
    except ValueError as error:
        raise PkiError(f"{path} is not a PEM certificate: {error}") from None


def load_certificates(path: Path | str) -> list[x509.Certificate]:
    """Read every certificate of a PEM file, in order. Raises as `load_certificate`."""
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except ValueError as error:
        raise PkiError(f"{path} holds no PEM certificates: {error}") from None


def load_key(path: Path | str) -> ec.EllipticCurvePrivateKey:
    """Read a private P-256 key (PEM, no passphrase).

    Raises `PkiError` for anything else, `PermissionError` where others can read it, `FileNotFoundError` for none.
    """
    check_private(path)
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise PkiError(f"{path} is not a PEM private key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PkiError(f"{path} is not a P-256 key")
    return key


def lfdi_of_file(path: Path | str) -> str:
    """LFDI of a PEM certificate. Raises as `load_certificate`."""
    return lfdi_of(load_certificate(path).public_bytes(serialization.Encoding.DER))


def private_directory(path: Path) -> None:
    """Create a directory that only its owner can enter, and its parents; an existing one is left as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_atomically(path: Path, content: bytes, mode: int) -> None:
    """Replace a file in one step, with its mode set before the first byte is in it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One process at a time issues in a directory: two at once would pair one's key with the other's certificate."""
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
