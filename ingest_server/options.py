"""What an ingest server is started with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

Required = Literal["any", "token", "key", "both"]
Algorithm = Literal["HS256", "ES256"]

_PATHS = frozenset({"ca", "cert", "key", "crl", "landing_dir", "gateway_token_key"})


_MOST = ("max_mirrors_per_device", "max_meter_readings_per_mirror")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of one server.

    `port` 0 takes a free one. `ca`, `cert`, `key` are PEM files; `operational_url` is an SQLAlchemy URL.
    `body_timeout_s`: a body that is not complete by then is refused, or devices that stall would hold the server for ever.
    `keepalive_s` must exceed the rates that meters are asked for, or each post costs a TLS handshake.
    `commit_wait_ms` and `commit_max_messages` bound a group commit; see `landing.sqlite`.
    `post_rate_s` and `poll_rate_s` are what resources tell meters. `device_cache_s` is how long a change in the
    registry may take to show. `enrolment_zone`: with a zone, a device of our CA that the registry does not know may
    register itself in band (POST /edev) into that zone, with `enrolment_profile` (see `registry.Device`); without, it is
    refused everything.

    `crl` is a PEM file of revocation lists. One that is out of date is used as it is and warned of (`crl_stale` "warn"), or
    nobody of its authority is let in ("refuse"). `ocsp_url` is asked for the status of client certificates; no answer
    counts as good unless `ocsp_required`. Files are looked at every `reload_poll_s` and taken up without a restart.
    `max_handshakes` and `max_connections` are per worker, `max_connections_per_device` too; `handshake_timeout_s` bounds one
    handshake, `header_timeout_s` the head of one request. A device may make `rate_limit_per_min` requests a minute; after
    `max_failed_auth` failed authentications within a minute it is refused for `cool_down_s`; 0 turns either off. `ops_port`
    serves /healthz, /readyz and /metrics in plain HTTP on `ops_host`, which should stay private; None turns it off, 0 takes a
    free port.
    A device may have `max_mirrors_per_device` mirror usage points, each with `max_meter_readings_per_mirror` reading types.
    Notifications go to a subscriber's own host and certificate; `notification_hosts` (lower-case names) are receivers besides,
    known by their name and a public authority.

    `gateway_port` takes legacy JSON over HTTPS; None turns it off, 0 takes a free port. `gateway_token_key` is the file with
    the secret (HS256) or the key (ES256) that bearer tokens for `gateway_audience` are verified with, `gateway_require` what a
    request must bring, and `gateway_rate_per_min` how many requests may speak for a meter in a minute.
    """

    host: str
    port: int
    workers: int
    ca: Path
    cert: Path
    key: Path
    landing_dir: Path
    operational_url: str
    max_body_bytes: int = 256 * 1024
    body_timeout_s: float = 30.0
    keepalive_s: float = 3630.0
    post_rate_s: int = 15
    poll_rate_s: int = 900
    commit_wait_ms: float = 0.0
    commit_max_messages: int = 512
    device_cache_s: float = 2.0
    shutdown_s: float = 5.0
    enrolment_zone: str | None = None
    enrolment_profile: str = "standard"
    tls13: bool = False
    crl: Path | None = None
    crl_stale: str = "warn"
    ocsp_url: str | None = None
    ocsp_required: bool = False
    reload_poll_s: float = 5.0
    handshake_timeout_s: float = 10.0
    header_timeout_s: float = 30.0
    max_handshakes: int = 256
    max_connections: int = 20_000
    max_connections_per_device: int = 1000
    rate_limit_per_min: int = 1000
    max_failed_auth: int = 3
    cool_down_s: float = 60.0
    notification_hosts: tuple[str, ...] = ()
    max_mirrors_per_device: int = 100
    max_meter_readings_per_mirror: int = 100
    ops_host: str = "127.0.0.1"
    ops_port: int | None = None
    gateway_port: int | None = None
    gateway_require: Required = "any"
    gateway_algorithm: Algorithm = "HS256"
    gateway_token_key: Path | None = None
    gateway_audience: str = "gridtokenx-gateway"
    gateway_rate_per_min: int = 1000
    log_level: str = "INFO"

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port {self.port} is not between 0 and 65535")
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")
        if self.max_body_bytes < 1:
            raise ValueError("max_body_bytes must be positive")
        if self.body_timeout_s <= 0:
            raise ValueError("body_timeout_s must be positive")
        if self.keepalive_s <= self.post_rate_s:
            raise ValueError("keepalive_s must exceed post_rate_s")
        if self.crl_stale not in ("warn", "refuse"):
            raise ValueError(f"crl_stale must be warn or refuse, not {self.crl_stale!r}")
        for name in ("reload_poll_s", "handshake_timeout_s", "header_timeout_s", "cool_down_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")
        for name in ("max_handshakes", "max_connections", "max_connections_per_device", *_MOST):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        for name in ("rate_limit_per_min", "max_failed_auth", "gateway_rate_per_min"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if self.ops_port is not None and not 0 <= self.ops_port <= 65535:
            raise ValueError(f"ops_port {self.ops_port} is not between 0 and 65535")
        if self.gateway_port is not None and not 0 <= self.gateway_port <= 65535:
            raise ValueError(f"gateway_port {self.gateway_port} is not between 0 and 65535")
        if self.gateway_require not in get_args(Required):
            raise ValueError(f"gateway_require must be any, token, key or both, not {self.gateway_require!r}")
        if self.gateway_algorithm not in get_args(Algorithm):
            raise ValueError(f"gateway_algorithm must be HS256 or ES256, not {self.gateway_algorithm!r}")

    def to_json(self) -> str:
        """Return the options as one JSON object."""
        return json.dumps({k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ServerOptions:
        """Read what `to_json` wrote. Raises `ValueError` naming unknown or missing options, or bad values."""
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("options must be a JSON object")
        known = {f.name for f in fields(cls)}
        unknown = sorted(values.keys() - known)
        if unknown:
            raise ValueError(f"unknown options: {', '.join(unknown)}")
        converted: dict[str, Any] = {k: _converted(k, v) for k, v in values.items()}
        try:
            return cls(**converted)
        except TypeError as error:
            raise ValueError(str(error)) from None


def _converted(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if name in _PATHS and value is not None else value
