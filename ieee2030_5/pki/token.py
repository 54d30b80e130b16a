"""Private keys that never leave a PKCS#11 token (an HSM, a smart card, SoftHSM).

The token's PIN comes from an environment variable or a private file, never from the command line, which others can read.
Needs the extra `hsm`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from ieee2030_5.keyfiles import PkiError, check_private, write_atomically

# Sessions of a process share one login (PKCS #11 v2.40, 2.6): two at once would log each other in and out.
_LOGIN = threading.Lock()
_POINT_OCTETS = 65
_SCALAR_OCTETS = 32


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """Where a token is and how it is opened.

    `module` is the vendor's PKCS#11 library, `label` the token's label, `prefix` the start of the labels of its keys. The
    PIN is the value of the environment variable `pin_env` or the content of `pin_file` (0600).
    """

    module: Path
    label: str
    pin_env: str | None = None
    pin_file: Path | None = None
    prefix: str = "gridtokenx"

    def pin(self) -> str:
        """Return the PIN. Raises `PkiError` where it is not to be found, `PermissionError` for a file others can read."""
        if self.pin_env:
            try:
                return os.environ[self.pin_env]
            except KeyError:
                raise PkiError(f"the PIN of token {self.label} is expected in the environment variable {self.pin_env}") from None
        if self.pin_file is None:
            raise PkiError(f"token {self.label} needs a PIN: name an environment variable or a private file that holds it")
        check_private(self.pin_file)
        return self.pin_file.read_text().strip()

    def save(self, path: Path) -> None:
        """Write the options (not the PIN) to a file, for later runs."""
        values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        write_atomically(path, json.dumps(values, indent=2).encode() + b"\n", 0o600)

    @classmethod
    def load(cls, path: Path) -> TokenOptions | None:
        """Read what `save` wrote; None where there is no file. Raises `PkiError` for a bad one."""
        if not path.exists():
            return None
        try:
            values = json.loads(path.read_text())
            module, pin_file = Path(values.pop("module")), values.pop("pin_file", None)
            return cls(module=module, pin_file=Path(pin_file) if pin_file else None, **values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PkiError(f"{path} does not describe a token: {error}") from None


class TokenKey(ec.EllipticCurvePrivateKey):
    """A P-256 key in a token, for `cryptography` to sign with."""

    def __init__(self, options: TokenOptions, label: str, public_key: ec.EllipticCurvePublicKey) -> None:
        self._options, self._label, self._public_key = options, label, public_key

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """Sign with ECDSA and SHA-256 in the token; DER. Raises `PkiError` where the token does not."""
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, Prehashed) or not isinstance(algorithm, hashes.SHA256):
            raise PkiError("keys in a token sign SHA-256 only")
        from pkcs11 import Mechanism

        with _session(self._options) as session:
            raw = _private_key(session, self._label).sign(hashlib.sha256(data).digest(), mechanism=Mechanism.ECDSA)
        return encode_dss_signature(int.from_bytes(raw[:_SCALAR_OCTETS], "big"), int.from_bytes(raw[_SCALAR_OCTETS:], "big"))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public key."""
        return self._public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """Bits."""
        return self._public_key.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Refused: an authority's key only signs."""
        raise PkiError("a key in a token only signs")

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        """Refused: the key does not leave its token."""
        raise PkiError("a key in a token cannot be exported")

    def private_bytes(self, *_: object) -> bytes:
        """Refused: the key does not leave its token."""
        raise PkiError("a key in a token cannot be exported")

    def __copy__(self) -> TokenKey:
        return self

    def __deepcopy__(self, memo: dict) -> TokenKey:
        return self


def token_key(options: TokenOptions, name: str) -> TokenKey | None:
    """Return the key `name` of a token, or None where it has none. Raises `PkiError` where the token cannot be used."""
    from pkcs11 import Attribute, ObjectClass
    from pkcs11.exceptions import NoSuchKey

    label = f"{options.prefix}-{name}"
    with _session(options) as session:
        try:
            public = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=label)
        except NoSuchKey:
            return None
        point = public[Attribute.EC_POINT]
        # Held by the token as a DER OCTET STRING (PKCS #11 v2.40, 2.3.3); some tokens give the bare point.
        encoded = point[-_POINT_OCTETS:]
    return TokenKey(options, label, ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded))


def create_token_key(options: TokenOptions, name: str) -> TokenKey:
    """Make the key `name` inside a token, sensitive and not extractable; a former one of that name is put aside.

    Raises `PkiError` where the token refuses.
    """
    from pkcs11 import Attribute, KeyType
    from pkcs11.util.ec import encode_named_curve_parameters

    label = f"{options.prefix}-{name}"
    curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
    private = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
    with _session(options, write=True) as session:
        aside = f"{label}-former-{secrets.token_hex(4)}"
        for former in list(session.get_objects({Attribute.LABEL: label})):
            former[Attribute.LABEL] = aside
        session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(
            store=True, label=label, private_template=private
        )
    key = token_key(options, name)
    if key is None:
        raise PkiError(f"token {options.label} did not keep its new key {name}")
    return key


def _private_key(session: Any, label: str) -> Any:
    from pkcs11 import ObjectClass

    return session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=label)


@contextlib.contextmanager
def _session(options: TokenOptions, *, write: bool = False) -> Iterator[Any]:
    try:
        import pkcs11
    except ImportError:
        raise PkiError("keys in a token need the extra: pip install 'gridtokenx-pipeline[hsm]'") from None
    pin = options.pin()
    with _LOGIN:
        try:
            token = pkcs11.lib(str(options.module)).get_token(token_label=options.label)
            with token.open(user_pin=pin, rw=write) as session:
                yield session
        except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
            raise PkiError(f"token {options.label}: {type(error).__name__} {error}".rstrip()) from None
