"""What the gateway answers: JSON, and for a refusal `{"error": code, "detail": ...}`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web


class GatewayRefusal(Exception):
    """A request that is not served; `code` and `detail` are for the client, `security_kind` makes it a security event."""

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, security_kind: str | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.security_kind = security_kind

    def response(self) -> web.Response:
        """Return what the client gets."""
        return reply(self.status, {"error": self.code, "detail": self.detail}, self.headers)


def reply(status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a JSON response."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, headers={**(headers or {}), "Content-Type": "application/json"})


def slow_down(code: str, detail: str, seconds: int) -> GatewayRefusal:
    """429 with Retry-After (RFC 6585, 4)."""
    return GatewayRefusal(429, code, detail, headers={"Retry-After": str(seconds)}, security_kind=f"gateway_{code}")
