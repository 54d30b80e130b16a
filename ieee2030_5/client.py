"""Async client of an IEEE 2030.5 server, as one device: one certificate, one connection, discovery from /dcap.

Requests that fail on the way are sent again. That is safe for posts too: a server keys mirror usage points and readings by
(LFDI, mRID, start), so a repeated post changes nothing.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from yarl import URL

from ieee2030_5.keyfiles import lfdi_of_file
from ieee2030_5.resources import (
    DeviceCapability,
    EndDevice,
    EndDeviceList,
    Error,
    Link,
    MirrorMeterReading,
    MirrorMeterReadingList,
    MirrorUsagePoint,
    MirrorUsagePointList,
    Time,
)
from ieee2030_5.retry import Retry, retry_after_s
from ieee2030_5.tls import client_context
from ieee2030_5.xml import MEDIA_TYPE, XmlError, decode, encode, parse

__all__ = ["Client", "ClientError", "NotTrusted", "ProtocolError", "Refused", "Response", "Retry", "Unavailable"]

ENTRY = "/dcap"
PAGE = 100
MAX_RESPONSE_BYTES = 1 << 20
T = TypeVar("T")


class ClientError(Exception):
    """Anything that kept a request from its purpose."""


class Refused(ClientError):
    """The server answered and will not do it; asking again will not help. `reason_code` is None without an Error body."""

    def __init__(self, status: int, reason_code: int | None, path: str, text: str) -> None:
        super().__init__(
            f"{path}: {status}" + (f", reason {reason_code}" if reason_code is not None else "") + f" {text}".rstrip()
        )
        self.status = status
        self.reason_code = reason_code
        self.path = path
        self.text = text


class Unavailable(ClientError):
    """No usable answer after every attempt; `status` is the last one, None where there was no answer at all."""

    def __init__(self, path: str, attempts: int, status: int | None, detail: str) -> None:
        super().__init__(f"{path}: no success in {attempts} attempts: {detail}")
        self.path = path
        self.attempts = attempts
        self.status = status
        self.detail = detail


class NotTrusted(ClientError):
    """The server's certificate does not verify or names another host."""


class ProtocolError(ClientError):
    """The server's answer breaks the protocol: no Location, an unreadable document, a link that is not there."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: status, headers, whole body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def location(self) -> str | None:
        """Location header."""
        return self.headers.get("Location")


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
    them `ClientError`.
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
        self._context = context or client_context(ca, cert, key)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._options = session
        self._session: aiohttp.ClientSession | None = None
        self._capability: DeviceCapability | None = None

    async def __aenter__(self) -> Self:
        # One connection: a device talks in order. It outlives the post rate, since every handshake costs both ends.
        connector = aiohttp.TCPConnector(limit=1, ssl=self._context, keepalive_timeout=3600)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, **self._options)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def device_capability(self, *, refresh: bool = False) -> DeviceCapability:
        """The server's entry document, read once and kept until `refresh`."""
        if self._capability is None or refresh:
            self._capability = await self.get(ENTRY, DeviceCapability)
        return self._capability

    async def time(self) -> Time:
        """The server's time."""
        return await self.get(_href((await self.device_capability()).time_link, "TimeLink"), Time)

    async def end_device(self) -> EndDevice | None:
        """This device's own EndDevice, found by LFDI; None where the server has none."""
        link = (await self.device_capability()).end_device_list_link
        async for page in self._pages(_href(link, "EndDeviceListLink"), EndDeviceList):
            for device in page.end_devices:
                if device.lfdi == self.lfdi:
                    return device
        return None

    async def mirror_usage_points(self) -> list[MirrorUsagePoint]:
        """All mirror usage points the server shows this device."""
        href = await self._mirror_href()
        return [point async for page in self._pages(href, MirrorUsagePointList) for point in page.mirror_usage_points]

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

    async def get(self, path: str, cls: type[T]) -> T:
        """Read a resource of class `cls` at a path or href of this server."""
        response = await self._request("GET", path)
        try:
            return decode(parse(response.body, max_bytes=MAX_RESPONSE_BYTES), cls)
        except XmlError as error:
            raise ProtocolError(f"{path}: {error}") from error

    async def post(self, path: str, resource: Any) -> Response:
        """Post a resource, or an already encoded document."""
        return await self._request("POST", path, resource if isinstance(resource, bytes) else encode(resource))

    async def post_raw(self, path: str, body: bytes, content_type: str = MEDIA_TYPE) -> Response:
        """Post bytes as they are, once, and return whatever the server answers. Raises `Unavailable` without an answer."""
        try:
            return await self._send("POST", self._url(path), body, content_type)
        except _TryAgain as again:
            raise Unavailable(path, 1, again.status, again.detail) from again

    async def _mirror_href(self) -> str:
        return _href((await self.device_capability()).mirror_usage_point_list_link, "MirrorUsagePointListLink")

    async def _pages(self, href: str, cls: type[T]) -> AsyncIterator[T]:
        start = 0
        while True:
            page: Any = await self.get(str(URL(href).update_query(s=start, l=PAGE)), cls)
            yield page
            start += page.results or 0
            # A page past the end is legal and empty; `all` saves asking for it.
            if not page.results or start >= (page.all or 0):
                return

    def _url(self, path: str) -> URL:
        url = self.base_url.join(URL(path))
        if url.origin() != self.base_url.origin():
            raise ProtocolError(f"{path}: leads to another server")
        return url

    async def _request(self, method: str, path: str, body: bytes | None = None) -> Response:
        url = self._url(path)
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
                    return self._accept(path, await self._send(method, url, body, MEDIA_TYPE))
        except _TryAgain as again:
            raise Unavailable(path, self.retry.attempts, again.status, again.detail) from again
        raise AssertionError("a retry loop ends by returning or raising")

    def _wait(self, state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        return self.retry.wait_s(state.attempt_number, getattr(failure, "retry_after_s", None))

    async def _send(self, method: str, url: URL, body: bytes | None, content_type: str) -> Response:
        if self._session is None:
            raise RuntimeError("the client is not open: use it as an async context manager")
        headers = {"Accept": MEDIA_TYPE}
        if body is not None:
            headers["Content-Type"] = content_type
        self.requests += 1
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
                return Response(response.status, response.headers, await _bounded(response))
        except aiohttp.ClientConnectorCertificateError as error:
            raise NotTrusted(f"{url.origin()}: {error}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _TryAgain(None, f"{type(error).__name__}: {error}".rstrip(": ")) from error

    def _accept(self, path: str, response: Response) -> Response:
        status = response.status
        if 200 <= status < 300:
            return response
        if status == 429 or status >= 500:
            raise _TryAgain(status, f"status {status}", retry_after_s(response.headers.get("Retry-After", "")))
        raise Refused(status, _reason_code(response.body), path, response.body[:200].decode("utf-8", "replace"))


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    chunks = bytearray()
    async for chunk in response.content.iter_any():
        chunks += chunk
        if len(chunks) > MAX_RESPONSE_BYTES:
            raise ProtocolError(f"{response.url.path}: answer over {MAX_RESPONSE_BYTES} bytes")
    return bytes(chunks)


def _href(link: Link | None, name: str) -> str:
    if link is None or not link.href:
        raise ProtocolError(f"{ENTRY} has no {name}")
    return link.href


def _reason_code(body: bytes) -> int | None:
    try:
        return decode(parse(body), Error).reason_code
    except XmlError:
        return None
