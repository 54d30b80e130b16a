"""What a device sends: read within bounds, checked, and only then a candidate for the landing store."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web
from lxml import etree

from ieee2030_5.xml import MEDIA_TYPE, NAMESPACES, InvalidResource, MalformedXml, UnknownNamespace, decode, local_name, parse

from .access import Peer
from .landing.store import RawMessage
from .operational.registry import Device
from .options import ServerOptions
from .replies import Refusal, bad_format, bad_value

MEDIA_TYPES = frozenset({MEDIA_TYPE, "application/xml"})

T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class Document:
    """A well-formed 2030.5 document and the bytes it came in."""

    root: etree._Element
    body: bytes

    @property
    def name(self) -> str:
        """Local name of the root element."""
        return local_name(self.root)

    def decode(self, cls: type[T]) -> T:
        """Return the resource; raises a 400 `Refusal` for another root element or a value its type does not allow."""
        if self.name != cls.__name__:
            raise bad_format(f"root element {self.name}, expected {cls.__name__}")
        try:
            return decode(self.root, cls)
        except InvalidResource as error:
            raise bad_value(str(error)) from None


async def read_body(request: web.Request, options: ServerOptions) -> bytes:
    """Read a request body that says it is XML.

    Raises a `Refusal`: 415 for another media type or any content coding, 413 above `max_body_bytes` (declared or streamed),
    408 for a body that is not there after `body_timeout_s`.
    """
    max_bytes = options.max_body_bytes
    headers = request.headers
    if headers.get("Content-Type") not in MEDIA_TYPES and request.content_type.lower() not in MEDIA_TYPES:
        raise Refusal(415, f"media type {request.content_type[:64]!r}")
    coding = headers.get("Content-Encoding")
    if coding is not None and coding.lower() != "identity":
        raise Refusal(415, f"content coding {coding[:32]!r}")
    if request.content_length is not None and request.content_length > max_bytes:
        raise Refusal(413, f"body of {request.content_length} bytes, limit {max_bytes}")
    try:
        # Most bodies are here with their head, and a timer for nothing costs more than reading them.
        if request.content.is_eof():
            body = request.content.read_nowait()
            if len(body) > max_bytes:
                raise Refusal(413, f"body of {len(body)} bytes, limit {max_bytes}")
            return body
        async with asyncio.timeout(options.body_timeout_s):
            return await request.read()
    except TimeoutError:
        raise Refusal(408, f"body not complete after {options.body_timeout_s:g} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise Refusal(413, f"body above {max_bytes} bytes") from None
    except (web.RequestPayloadError, web.HTTPBadRequest) as error:
        raise bad_format(f"body not readable: {error}") from None


def parse_document(body: bytes, options: ServerOptions, namespaces: Collection[str] = NAMESPACES) -> Document:
    """Parse a body; raises a 400 `Refusal` for what the hardened parser does not accept."""
    try:
        return Document(parse(body, max_bytes=options.max_body_bytes, namespaces=namespaces), body)
    except (MalformedXml, UnknownNamespace) as error:
        raise bad_format(str(error)) from None


async def read_document(request: web.Request, options: ServerOptions, namespaces: Collection[str] = NAMESPACES) -> Document:
    """Read and parse a request body; raises the refusals of `read_body` and `parse_document`."""
    return parse_document(await read_body(request, options), options, namespaces)


def raw_message(
    request: web.Request, peer: Peer, body: bytes, received_at: dt.datetime, subject: Device | None = None
) -> RawMessage:
    """Return the record to land for a request that passed all checks; `subject` is the device it is about, the peer if None."""
    device = subject or peer.known
    return RawMessage(
        received_at=received_at,
        device_lfdi=device.lfdi,
        method=request.method,
        path=request.path,
        content_type=_storable(request.headers.get("Content-Type", "")),
        body=body,
        body_sha256=hashlib.sha256(body).hexdigest(),
        source="sep2",
        meter_id=device.meter_id,
        zone=device.zone,
        sender_lfdi="" if device.lfdi == peer.lfdi else peer.lfdi,
    )


def _storable(text: str) -> str:
    """Return a header value with bytes that were not UTF-8 written out: no store takes the surrogates that stand for them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
