"""Responses: resources, pages of lists, and refusals with the standard's Error body (IEEE 2030.5-2018, 6.6 and 5.5)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ieee2030_5.enums import ReasonCode
from ieee2030_5.resources import Error
from ieee2030_5.xml import MEDIA_TYPE, encode

DEFAULT_LIMIT = 1
MAX_LIMIT = 255
_UINT32_MAX = 0xFFFF_FFFF
_REASONS = {
    405: ReasonCode.INVALID_REQUEST_FORMAT,
    408: ReasonCode.INVALID_REQUEST_FORMAT,
    413: ReasonCode.RESOURCE_LIMIT_REACHED,
    415: ReasonCode.INVALID_REQUEST_FORMAT,
    429: ReasonCode.MAXIMUM_REQUEST_FREQUENCY_EXCEEDED,
    500: ReasonCode.RESOURCE_LIMIT_REACHED,
    503: ReasonCode.RESOURCE_LIMIT_REACHED,
}


class Refusal(Exception):
    """A request that is not served.

    `reason` is for the log; the client sees `status`, `headers` and an Error with `reason_code`, which the schema demands: where
    None, the code that comes nearest to the status. `security_kind` makes it a security event.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        *,
        reason_code: int | None = None,
        headers: Mapping[str, str] | None = None,
        security_kind: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.reason_code = reason_code
        self.headers = headers
        self.security_kind = security_kind

    def response(self) -> web.Response:
        """Return what the client gets."""
        code = self.reason_code if self.reason_code is not None else _REASONS.get(self.status, ReasonCode.INVALID_REQUEST_VALUES)
        return _xml(Error(reason_code=code), self.status, self.headers)


def bad_format(reason: str) -> Refusal:
    """400, the document or the request is not of the required form."""
    return Refusal(400, reason, reason_code=ReasonCode.INVALID_REQUEST_FORMAT)


def bad_value(reason: str) -> Refusal:
    """400, well formed but with a value that is not allowed."""
    return Refusal(400, reason, reason_code=ReasonCode.INVALID_REQUEST_VALUES)


def try_later(reason: str, seconds: int = 5) -> Refusal:
    """503 with Retry-After: the request was fine and nothing of it is kept."""
    return Refusal(503, reason, headers={"Retry-After": str(seconds)})


def resource(document: Any) -> web.Response:
    """200 with a resource."""
    return _xml(document, 200)


def fragment_resource(body: bytes) -> web.Response:
    """200 with a document that is already written."""
    return web.Response(body=body, headers={"Content-Type": MEDIA_TYPE})


def conditional(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    """Tag a resource by its content; 304 without body where the client has that content (RFC 9110, 13.1.2)."""
    if response.status != 200 or request.method not in ("GET", "HEAD") or not isinstance(response, web.Response):
        return response
    body = response.body
    if not isinstance(body, bytes):
        return response
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    known = request.headers.get("If-None-Match", "")
    if known.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in known.split(",")):
        return web.Response(status=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return response


def located(status: int, location: str) -> web.Response:
    """201 or 204 with a Location and no body."""
    headers = {"Location": location}
    if status != 204:
        headers["Content-Type"] = MEDIA_TYPE
    return web.Response(status=status, headers=headers)


def _xml(document: Any, status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=encode(document), status=status, headers={**(headers or {}), "Content-Type": MEDIA_TYPE})


@dataclass(slots=True, frozen=True)
class Page:
    """The part of a list that was asked for: at most `limit` items from `start`, later than `after` where it is not 0."""

    start: int
    limit: int
    after: int = 0

    @classmethod
    def of(cls, request: web.Request) -> Page:
        """Read the query parameters `s` (0 where absent), `l` (1 where absent) and `a` (epoch seconds).

        `a` has an effect on lists that are ordered by time. A limit above 255 is cut, as a server may. Raises a 400
        `Refusal` for values that are not UInt32.
        """
        after = _unsigned(request, "a", 0)
        return cls(_unsigned(request, "s", 0), min(_unsigned(request, "l", DEFAULT_LIMIT), MAX_LIMIT), after)

    def cut(self, items: list[Any]) -> list[Any]:
        """Return this page of a whole list."""
        return items[self.start : self.start + self.limit]


def _unsigned(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _UINT32_MAX):
        raise bad_value(f"query parameter {name}={text[:32]!r} is not an unsigned integer")
    return int(text)
