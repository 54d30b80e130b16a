"""Responses: resources, pages of lists, and refusals with the standard's Error body (IEEE 2030.5-2018, 6.6 and 5.5)."""

from __future__ import annotations

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


class Refusal(Exception):
    """A request that is not served.

    `reason` is for the log; the client sees `status`, `headers` and an Error with `reason_code` (the code is left out
    where None). `security_kind` makes it a security event.
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
        return _xml(Error(reason_code=self.reason_code), self.status, self.headers)


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
    """The part of a list that was asked for: at most `limit` items from `start`."""

    start: int
    limit: int

    @classmethod
    def of(cls, request: web.Request) -> Page:
        """Read the query parameters `s` (0 where absent) and `l` (1 where absent).

        `a` (after a time) is checked and has no effect: the lists served here are not ordered by time. A limit above
        255 is cut, as a server may. Raises a 400 `Refusal` for values that are not UInt32.
        """
        _unsigned(request, "a", 0)
        return cls(_unsigned(request, "s", 0), min(_unsigned(request, "l", DEFAULT_LIMIT), MAX_LIMIT))

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
