"""What an ingest server is started with."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

_PATHS = frozenset({"ca", "cert", "key", "landing_dir"})


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Options of one server.

    `port` 0 takes a free one. `ca`, `cert`, `key` are PEM files; `operational_url` is an SQLAlchemy URL.
    `body_timeout_s`: a body that is not complete by then is refused, or devices that stall would hold the server for ever.
    `keepalive_s` must exceed the rates that meters are asked for, or each post costs a TLS handshake.
    `commit_wait_ms` and `commit_max_messages` bound a group commit; see `landing.sqlite`.
    `post_rate_s` and `poll_rate_s` are what resources tell meters. `device_cache_s` is how long a change in the
    registry may take to show. `enrolment_zone`: with a zone, a device of our CA that the registry does not know may
    register itself in band (POST /edev) into that zone; without, it is refused everything.
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
    tls13: bool = False
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

    def to_json(self) -> str:
        """Return the options as one JSON object."""
        return json.dumps({k: str(v) if k in _PATHS else v for k, v in asdict(self).items()}, sort_keys=True)

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
        converted: dict[str, Any] = {k: Path(v) if k in _PATHS else v for k, v in values.items()}
        try:
            return cls(**converted)
        except TypeError as error:
            raise ValueError(str(error)) from None
