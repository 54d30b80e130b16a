"""Who may post for which meters: bearer tokens (RFC 6750, RFC 7519) and API keys. Denied unless proven.

A token is signed with one algorithm that the operator chose, carries `exp`, `aud` and `sub`, and covers the meter that `sub`
names, or with `sub` "*" the meters of its claim `meters`. An API key covers the meters it was issued for. Where a request
brings both, both must hold, and it covers the meters that both cover.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from aiohttp import hdrs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from multidict import CIMultiDictProxy

from ieee2030_5.keyfiles import check_private

from ..operational.gateway import ApiKey, GatewayTables
from ..options import Algorithm, Required

Headers = CIMultiDictProxy[str]

KEY_HEADERS = ("X-GridTokenX-API-Key", "X-API-KEY")
_MIN_SECRET_BYTES = 32
_LEEWAY_S = 30
_CACHE_MAX = 10_000
_KEY_ID_DIGITS = 16


class NotAuthenticated(Exception):
    """A request that does not prove who it is from. `code` is for the client, `credential` says who it claims to be."""

    def __init__(self, code: str, detail: str, credential: str = "none") -> None:
        super().__init__(detail)
        self.code = code
        self.credential = credential


@dataclass(slots=True, frozen=True)
class Grant:
    """What a proven credential is good for: `meters` it covers, None for every meter of the registry."""

    credential: str
    meters: frozenset[str] | None

    def covers(self, meter_id: str) -> bool:
        """Whether the credential may post for the meter."""
        return self.meters is None or meter_id in self.meters

    def also(self, other: Grant) -> Grant:
        """What both credentials cover."""
        mine, theirs = self.meters, other.meters
        both = theirs if mine is None else mine if theirs is None else mine & theirs
        return Grant(f"{self.credential}+{other.credential}", both)


class Tokens:
    """Verifies (and, with a key that can, issues) the tokens of one algorithm, key and audience."""

    def __init__(self, algorithm: Algorithm, verifying_key: Any, audience: str, signing_key: Any = None) -> None:
        self._algorithm = algorithm
        self._key = verifying_key
        self._audience = audience
        self._signing_key = signing_key

    @classmethod
    def from_file(cls, path: Path, algorithm: Algorithm, audience: str) -> Tokens:
        """Read the key: for HS256 a secret of at least 32 bytes, mode 0600; for ES256 a P-256 key, PEM, public or private (0600).

        Raises `FileNotFoundError`, `PermissionError`, and `ValueError` for what is no such key.
        """
        content = path.read_bytes()
        if algorithm == "HS256":
            check_private(path)
            secret = content.strip()
            if len(secret) < _MIN_SECRET_BYTES:
                raise ValueError(f"the token secret in {path} has {len(secret)} bytes, at least {_MIN_SECRET_BYTES} are required")
            return cls(algorithm, secret, audience, secret)
        if b"PRIVATE KEY" in content:
            check_private(path)
            private = serialization.load_pem_private_key(content, password=None)
            if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
                raise ValueError(f"{path} is not a P-256 key")
            return cls(algorithm, private.public_key(), audience, private)
        public = serialization.load_pem_public_key(content)
        if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
            raise ValueError(f"{path} is not a P-256 key")
        return cls(algorithm, public, audience)

    def issue(self, meters: Iterable[str], *, now: dt.datetime, lifetime: dt.timedelta) -> str:
        """Return a token for one meter, or for a feed of several. Raises `ValueError` without a meter or a signing key."""
        names = sorted(set(meters))
        if not names:
            raise ValueError("a token covers at least one meter")
        if self._signing_key is None:
            raise ValueError("a public key verifies tokens but cannot sign one")
        claims: dict[str, Any] = {
            "sub": names[0] if len(names) == 1 else "*",
            "aud": self._audience,
            "iat": now,
            "exp": now + lifetime,
        }
        if len(names) > 1:
            claims["meters"] = names
        return jwt.encode(claims, self._signing_key, algorithm=self._algorithm)

    def verify(self, token: str) -> Grant:
        """Return what a token grants. Raises `NotAuthenticated`."""
        claimed = _claimed_subject(token)
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[self._algorithm],
                audience=self._audience,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise NotAuthenticated("token_expired", "the token has expired", claimed) from None
        except jwt.InvalidAlgorithmError:
            raise NotAuthenticated("invalid_token", f"the token is not signed with {self._algorithm}", claimed) from None
        except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError) as error:
            raise NotAuthenticated("invalid_token", f"the token does not hold: {_plain(error)}", claimed) from None
        subject, meters = claims["sub"], claims.get("meters")
        if subject != "*":
            return Grant(claimed, frozenset({subject}))
        if not isinstance(meters, list) or not all(isinstance(meter, str) for meter in meters):
            raise NotAuthenticated("invalid_token", "the token is for a feed and lists no meters", claimed)
        return Grant(claimed, frozenset(meters))


class Authentication:
    """Finds out what a request's headers prove. API keys are looked up at most every `ttl_s`: one that is revoked is out then.

    `required` says what a request must bring: a token, a key, both, or any of them.
    """

    def __init__(
        self, tables: GatewayTables, tokens: Tokens | None, required: Required, *, ttl_s: float, now: Callable[[], dt.datetime]
    ) -> None:
        if tokens is None and required in ("token", "both"):
            raise ValueError(f"gateway authentication {required!r} needs a key for tokens")
        self._tables = tables
        self._tokens = tokens
        self._required = required
        self._ttl_s = ttl_s
        self._now = now
        self._keys: dict[str, tuple[float, ApiKey]] = {}

    def claimed(self, headers: Headers) -> str:
        """Return who a request says it is from, which proves nothing: the key's id, or the token's subject."""
        key = _header_key(headers)
        if key:
            return f"key:{_key_id(key)}"
        token = _bearer(headers)
        return _claimed_subject(token) if token is not None else "none"

    async def grant(self, headers: Headers) -> Grant:
        """Return what the request's credentials cover. Raises `NotAuthenticated`."""
        token, key = _bearer(headers), _header_key(headers)
        if token is None and self._required in ("token", "both"):
            raise NotAuthenticated("token_required", "a bearer token is required", self.claimed(headers))
        if key is None and self._required in ("key", "both"):
            raise NotAuthenticated("key_required", f"an API key is required in {KEY_HEADERS[0]}", self.claimed(headers))
        grants = []
        if key is not None:
            grants.append(await self._by_key(key))
        if token is not None:
            if self._tokens is None:
                raise NotAuthenticated("token_not_accepted", "this gateway takes API keys only", self.claimed(headers))
            grants.append(self._tokens.verify(token))
        if not grants:
            detail = f"a bearer token or an API key in {KEY_HEADERS[0]} is required"
            raise NotAuthenticated("credentials_required", detail)
        return grants[0] if len(grants) == 1 else grants[0].also(grants[1])

    async def _by_key(self, text: str) -> Grant:
        key_id, _, secret = text.partition(".")
        credential = f"key:{_key_id(text)}"
        key = await self._key(key_id) if len(key_id) == _KEY_ID_DIGITS else None
        # One answer for an unknown id and a wrong secret: which ids exist is nobody's business.
        if key is None or not key.opened_by(secret):
            raise NotAuthenticated("invalid_key", "the API key is not known", credential)
        if key.revoked_at is not None:
            raise NotAuthenticated("key_revoked", "the API key is revoked", credential)
        if key.expires_at <= self._now():
            raise NotAuthenticated("key_expired", f"the API key expired at {key.expires_at:%Y-%m-%dT%H:%M:%SZ}", credential)
        return Grant(credential, key.meters)

    async def _key(self, key_id: str) -> ApiKey | None:
        cached = self._keys.get(key_id)
        if cached is not None and time.monotonic() < cached[0]:
            return cached[1]
        key = await asyncio.to_thread(self._tables.key, key_id)
        if key is not None:
            if len(self._keys) >= _CACHE_MAX:
                self._keys.clear()
            self._keys[key_id] = (time.monotonic() + self._ttl_s, key)
        return key


def _bearer(headers: Headers) -> str | None:
    values = headers.getall(hdrs.AUTHORIZATION, [])
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated("invalid_authorization", "Authorization must be Bearer and a token")
    return token.strip()


def _header_key(headers: Headers) -> str | None:
    values = {value.strip() for name in KEY_HEADERS for value in headers.getall(name, [])}
    if len(values) > 1:
        raise NotAuthenticated("invalid_key", "two API keys that differ")
    return values.pop() if values else None


def _key_id(key: str) -> str:
    return ascii(key.partition(".")[0][:_KEY_ID_DIGITS])[1:-1]


def _claimed_subject(token: str) -> str:
    try:
        subject = jwt.decode(token, options={"verify_signature": False}).get("sub")
    except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError):
        return "token:unreadable"
    return f"token:{ascii(subject)[:64]}"


def _plain(error: Exception) -> str:
    return ascii(str(error))[1:120].rstrip("'")
