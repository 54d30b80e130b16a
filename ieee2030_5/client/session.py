"""A device's session with a server: requests, retries, discovery, registration, time.

Requests that fail on the way are sent again. That is safe for posts too: a server keys mirror usage points and readings by
(LFDI, mRID, start), and items of other lists by their content, so a repeated post changes nothing.
"""

from __future__ import annotations

import hmac
import socket
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from yarl import URL

from ieee2030_5.identity import sfdi_of
from ieee2030_5.keyfiles import lfdi_of_file
from ieee2030_5.resources import (
    DERAvailability,
    DERCapability,
    DERSettings,
    DERStatus,
    DeviceCapability,
    EndDevice,
    EndDeviceList,
    Error,
    Link,
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorUsagePoint,
    MirrorUsagePointList,
    Registration,
    Time,
)
from ieee2030_5.resources.fields import mappings
from ieee2030_5.retry import Retry, retry_after_s
from ieee2030_5.tls import client_context
from ieee2030_5.xml import MEDIA_TYPE, NAMESPACES, XmlError, decode, encode, namespace_of, parse

from .errors import NotRegistered, NotTrusted, ProtocolError, Refused, Response, Unavailable, WrongPin

ENTRY = "/dcap"
PAGE = 100
MAX_RESPONSE_BYTES = 1 << 20
_KEPT_RESOURCES = 256
_NOT_MODIFIED = 304
_GONE = (404, 410)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """All items of a list, and how often the server wants to be asked for them (seconds; None where it does not say)."""

    items: list[T]
    poll_rate_s: int | None


class _TryAgain(Exception):
    def __init__(self, status: int | None, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s


class Client:
    """A device's session with a server; use it as `async with Client(...) as client`.

    `requests` counts attempts, `retries` those that followed a failed one; aiohttp may repeat a GET on a connection that
    turns out closed, and that is not counted. Calls raise `Refused`, `Unavailable`, `NotTrusted` or `ProtocolError`, all of
    them `ClientError`. `offset_s` is the server's time minus ours, 0 before `synchronize`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        ca: Path | str,
        cert: Path | str,
        key: Path | str,
        timeout_s: float = 30.0,
        retry: Retry | None = None,
        context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
        **session: Any,
    ) -> None:
        """Prepare a session; nothing is sent yet.

        `context` replaces the TLS context made of `ca`, `cert` and `key`; `session` goes to `aiohttp.ClientSession`.
        Raises as `tls.client_context`, and `ValueError` for a base URL that is not https.
        """
        self.base_url = URL(base_url)
        if self.base_url.scheme != "https" or not self.base_url.host:
            raise ValueError(f"not an https URL: {base_url!r}")
        self.lfdi = lfdi_of_file(cert)
        self.retry = retry or Retry()
        self.requests = 0
        self.retries = 0
        self.offset_s = 0.0
        self._clock = clock
        self._context = context or client_context(ca, cert, key)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._options = session
        self._session: aiohttp.ClientSession | None = None
        self._capability: DeviceCapability | None = None
        self._sockets: list[socket.socket] = []
        self._kept: OrderedDict[str, tuple[str, bytes]] = OrderedDict()

    async def __aenter__(self) -> Self:
        # One connection: a device talks in order. It outlives the post rate, since every handshake costs both ends.
        connector = aiohttp.TCPConnector(limit=1, ssl=self._context, keepalive_timeout=3600, socket_factory=self._open_socket)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, **self._options)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def local_address(self) -> str | None:
        """This device's own address on the connection to the server, None while there is none."""
        for sock in self._sockets:
            try:
                sock.getpeername()
                return str(sock.getsockname()[0])
            except OSError:
                continue
        return None

    def _open_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = info
        sock = socket.socket(family, kind, protocol)
        # Names with several addresses are tried side by side: more than one socket may be on its way.
        self._sockets = [*(known for known in self._sockets if known.fileno() >= 0), sock]
        return sock

    def now(self) -> float:
        """The server's time as this device knows it, epoch seconds: events run by it (12.1.3)."""
        return self._clock() + self.offset_s

    async def device_capability(self, *, refresh: bool = False) -> DeviceCapability:
        """The server's entry document, read once and kept until `refresh`."""
        if self._capability is None or refresh:
            self._capability = await self.get(ENTRY, DeviceCapability)
        return self._capability

    async def time(self) -> Time:
        """The server's time."""
        return await self.get(href_of((await self.device_capability()).time_link, "TimeLink"), Time)

    async def synchronize(self) -> float:
        """Take the server's time: returns and keeps `offset_s`, from the middle of the request (RFC 4330's estimate)."""
        await self.device_capability()
        before = self._clock()
        server = await self.time()
        after = self._clock()
        if server.current_time is not None:
            self.offset_s = server.current_time - (before + after) / 2
        return self.offset_s

    async def end_device(self) -> EndDevice | None:
        """This device's own EndDevice, found by LFDI; None where the server has none."""
        link = (await self.device_capability()).end_device_list_link
        async for device in self.items(href_of(link, "EndDeviceListLink"), EndDeviceList):
            if device.lfdi == self.lfdi:
                return device  # type: ignore[no-any-return]
        return None

    async def register(self, *, pin: int | None = None, device_category: int | None = None, in_band: bool = True) -> EndDevice:
        """Return this device's EndDevice, registering it in band (10.3) where the server has none and `in_band` allows it.

        With `pin` the server must show it in the device's Registration: a device that knows a PIN works for no other server.
        Raises `NotRegistered`, or `WrongPin` where the PIN is another or there is no registration to show it.
        """
        device = await self.end_device()
        if device is None:
            if not in_band:
                raise NotRegistered(f"the server has no EndDevice with LFDI {self.lfdi}")
            link = (await self.device_capability()).end_device_list_link
            href = href_of(link, "EndDeviceListLink")
            mine = EndDevice(
                lfdi=self.lfdi, sfdi=sfdi_of(self.lfdi), device_category=device_category, changed_time=int(self.now())
            )
            answer = await self.post(href, mine)
            if not answer.location:
                raise ProtocolError(f"{href}: {answer.status} without Location")
            device = await self.get(answer.location, EndDevice)
            await self.device_capability(refresh=True)
        if pin is not None:
            await self._check_pin(device, pin)
        return device

    async def _check_pin(self, device: EndDevice, pin: int) -> None:
        if device.registration_link is None:
            raise WrongPin("the server shows no registration")
        shown = (await self.get(href_of(device.registration_link, "RegistrationLink"), Registration)).pin
        if not hmac.compare_digest(str(shown), str(pin)):
            raise WrongPin("the server's PIN of this device is not the one the device was given")

    async def mirror_usage_points(self) -> list[MirrorUsagePoint]:
        """All mirror usage points the server shows this device."""
        return (await self.read_list(await self._mirror_href(), MirrorUsagePointList)).items

    async def post_mirror_usage_point(self, point: MirrorUsagePoint | bytes) -> str:
        """Create or overwrite a mirror usage point and return where to post its readings."""
        href = await self._mirror_href()
        response = await self.post(href, point)
        if not response.location:
            raise ProtocolError(f"{href}: {response.status} without Location")
        return response.location

    async def post_readings(self, location: str, readings: MirrorMeterReading | MirrorMeterReadingList | bytes) -> None:
        """Post readings to a mirror usage point; returns once the server has taken them. `bytes` is an encoded document."""
        await self.post(location, readings)

    async def put_der(self, der: Any, document: DERCapability | DERSettings | DERStatus | DERAvailability) -> None:
        """Put what a DER says of itself to where the server's `DER` resource links it. Raises `ProtocolError` without a link."""
        links = {
            DERCapability: der.der_capability_link,
            DERSettings: der.der_settings_link,
            DERStatus: der.der_status_link,
            DERAvailability: der.der_availability_link,
        }
        name = type(document).__name__
        await self.put(href_of(links[type(document)], f"{name}Link"), document)

    async def get(self, path: str, cls: type[T]) -> T:
        """Read a resource of class `cls` at a path or href of this server.

        What the server tagged (ETag) is kept, asked for conditionally and read from here where it has not changed.
        """
        key = str(self._url(path))
        kept = self._kept.get(key)
        response = await self._request("GET", path, headers={"If-None-Match": kept[0]} if kept else None)
        if response.status == _NOT_MODIFIED and kept is not None:
            body = kept[1]
            self._kept.move_to_end(key)
        else:
            body = response.body
            self._keep(key, response)
        try:
            return decode(parse(body, max_bytes=MAX_RESPONSE_BYTES, namespaces=_namespaces(cls)), cls)
        except XmlError as error:
            raise ProtocolError(f"{path}: {error}") from error

    async def items(self, href: str, cls: type[Any]) -> AsyncIterator[Any]:
        """Iterate over the items of a list of class `cls`, page by page."""
        name = _items_field(cls)
        async for page in self._pages(href, cls):
            for item in getattr(page, name):
                yield item

    async def read_list(self, href: str, cls: type[Any]) -> Page[Any]:
        """Read a whole list of class `cls`."""
        name = _items_field(cls)
        found: list[Any] = []
        poll_rate_s: int | None = None
        async for page in self._pages(href, cls):
            found += getattr(page, name)
            poll_rate_s = getattr(page, "poll_rate", None) or poll_rate_s
        return Page(found, poll_rate_s)

    async def put(self, path: str, resource: Any) -> Response:
        """Put a resource, or an already encoded document."""
        return await self._request("PUT", path, resource if isinstance(resource, bytes) else encode(resource))

    async def delete(self, path: str) -> None:
        """Delete a resource; one that is gone already counts as deleted, since an answer may have been lost."""
        try:
            await self._request("DELETE", path)
        except Refused as refused:
            if refused.status not in _GONE:
                raise

    async def post(self, path: str, resource: Any) -> Response:
        """Post a resource, or an already encoded document."""
        return await self._request("POST", path, resource if isinstance(resource, bytes) else encode(resource))

    async def post_raw(self, path: str, body: bytes, content_type: str = MEDIA_TYPE) -> Response:
        """Post bytes as they are, once, and return whatever the server answers. Raises `Unavailable` without an answer."""
        try:
            return await self._send("POST", self._url(path), body, {"Content-Type": content_type})
        except _TryAgain as again:
            raise Unavailable(path, 1, again.status, again.detail) from again

    async def _mirror_href(self) -> str:
        return href_of((await self.device_capability()).mirror_usage_point_list_link, "MirrorUsagePointListLink")

    async def _pages(self, href: str, cls: type[Any]) -> AsyncIterator[Any]:
        start = 0
        while True:
            page = await self.get(str(URL(href).update_query(s=start, l=PAGE)), cls)
            yield page
            start += page.results or 0
            # A page past the end is legal and empty; `all` saves asking for it.
            if not page.results or start >= (page.all or 0):
                return

    def _keep(self, key: str, response: Response) -> None:
        tag = response.headers.get("ETag")
        if tag is None:
            self._kept.pop(key, None)
            return
        self._kept[key] = (tag, response.body)
        self._kept.move_to_end(key)
        if len(self._kept) > _KEPT_RESOURCES:
            self._kept.popitem(last=False)

    def _url(self, path: str) -> URL:
        url = self.base_url.join(URL(path))
        if url.origin() != self.base_url.origin():
            raise ProtocolError(f"{path}: leads to another server")
        return url

    async def _request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        url = self._url(path)
        sent = {**(headers or {}), **({"Content-Type": MEDIA_TYPE} if body is not None else {})}
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_TryAgain),
            stop=stop_after_attempt(self.retry.attempts),
            wait=self._wait,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    self.retries += attempt.retry_state.attempt_number > 1
                    return self._accept(path, await self._send(method, url, body, sent), conditional=bool(headers))
        except _TryAgain as again:
            raise Unavailable(path, self.retry.attempts, again.status, again.detail) from again
        raise AssertionError("a retry loop ends by returning or raising")

    def _wait(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        return self.retry.wait_s(state.attempt_number, getattr(failure, "retry_after_s", None))

    async def _send(self, method: str, url: URL, body: bytes | None, headers: Mapping[str, str]) -> Response:
        if self._session is None:
            raise RuntimeError("the client is not open: use it as an async context manager")
        headers = {"Accept": MEDIA_TYPE, **headers}
        self.requests += 1
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
                return Response(response.status, response.headers, await _bounded(response))
        except aiohttp.ClientConnectorCertificateError as error:
            raise NotTrusted(f"{url.origin()}: {error}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _TryAgain(None, f"{type(error).__name__}: {error}".rstrip(": ")) from error

    def _accept(self, path: str, response: Response, *, conditional: bool) -> Response:
        status = response.status
        if 200 <= status < 300 or (conditional and status == _NOT_MODIFIED):
            return response
        if status == 429 or status >= 500:
            raise _TryAgain(status, f"status {status}", retry_after_s(response.headers.get("Retry-After", "")))
        raise Refused(status, _reason_code(response.body), path, response.body[:200].decode("utf-8", "replace"))


def _namespaces(cls: type[Any]) -> tuple[str, ...]:
    """Namespaces that a document of a class may be in: an extension's is its own alone."""
    own = namespace_of(cls)
    return NAMESPACES if own in NAMESPACES else (own,)


_ITEMS_FIELDS: dict[type[Any], str] = {}


def _items_field(cls: type[Any]) -> str:
    """The field that holds a list's items. Raises `TypeError` for a class that is not a list's."""
    if cls not in _ITEMS_FIELDS:
        name = next((name for name, mapping in mappings(cls) if mapping.many), None)
        if name is None:
            raise TypeError(f"{cls.__name__} is not a list")
        _ITEMS_FIELDS[cls] = name
    return _ITEMS_FIELDS[cls]


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    chunks = bytearray()
    async for chunk in response.content.iter_any():
        chunks += chunk
        if len(chunks) > MAX_RESPONSE_BYTES:
            raise ProtocolError(f"{response.url.path}: answer over {MAX_RESPONSE_BYTES} bytes")
    return bytes(chunks)


def href_of(link: Link | None, name: str) -> str:
    """Where a link of that name leads. Raises `ProtocolError` where it is missing or leads nowhere."""
    if link is None or not link.href:
        raise ProtocolError(f"the server gives no {name}")
    return link.href


def _reason_code(body: bytes) -> int | None:
    try:
        return decode(parse(body), Error).reason_code
    except XmlError:
        return None
