"""The client against small servers over real TLS: conditional reads, lists, writes, registration, notifications."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ieee2030_5.client import Client, NotRegistered, ProtocolError, Refused, Retry, WrongPin
from ieee2030_5.client.notifications import NotificationListener, names_host, subscribe
from ieee2030_5.resources import (
    DER,
    DERCapability,
    DERStatus,
    DeviceCapability,
    EndDevice,
    EndDeviceList,
    FunctionSetAssignments,
    FunctionSetAssignmentsList,
    Link,
    ListLink,
    Notification,
    Registration,
    Subscription,
    Time,
)
from ieee2030_5.tls import client_context, server_context
from ieee2030_5.xml import MEDIA_TYPE, decode, encode, parse

PIN = 111115


class Board:
    """Serves what is pinned to it, with ETags; remembers what is put and posted."""

    def __init__(self) -> None:
        self.resources: dict[str, Any] = {
            "/dcap": DeviceCapability(href="/dcap", end_device_list_link=ListLink(href="/e"), time_link=Link(href="/clock")),
            "/clock": Time(href="/clock", current_time=1_000_100),
            "/e": EndDeviceList(href="/e", all=0, results=0),
        }
        self.requests: list[tuple[str, str, int]] = []
        self.bodies: dict[str, bytes] = {}
        self.posted: Callable[[str, bytes], str | None] = lambda path, body: f"{path}/1"

    async def handle(self, request: web.Request) -> web.Response:
        response = self.answer(request, await request.read())
        self.requests.append((request.method, request.path, response.status))
        return response

    def answer(self, request: web.Request, body: bytes) -> web.Response:
        resource = self.resources.get(request.path)
        if request.method == "POST":
            self.bodies[request.path] = body
            location = self.posted(request.path, body)
            return web.Response(status=201, headers={"Location": location} if location else {})
        if request.method == "PUT":
            self.bodies[request.path] = body
            return web.Response(status=204)
        if resource is None:
            return web.Response(status=404)
        if request.method == "DELETE":
            del self.resources[request.path]
            return web.Response(status=204)
        if isinstance(resource, FunctionSetAssignmentsList):
            start, items = int(request.query["s"]), resource.function_set_assignments
            page = items[start : start + 2]
            resource = FunctionSetAssignmentsList(
                href=resource.href, all=len(items), results=len(page), poll_rate=77, function_set_assignments=page
            )
        text = encode(resource)
        tag = f'"{hashlib.sha256(text).hexdigest()[:8]}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.Response(body=text, headers={"ETag": tag, "Content-Type": MEDIA_TYPE})


@asynccontextmanager
async def serving(certificates: Any) -> AsyncIterator[tuple[Board, str]]:
    board = Board()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", board.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = server_context(certificates.ca, certificates.server.certificate, certificates.server.key)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield board, f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def session(certificates) -> AsyncIterator[tuple[Board, Client]]:
    meter = certificates.meter
    async with serving(certificates) as (board, url):
        retry = Retry(attempts=2, base_s=0.001)
        async with Client(
            url, ca=certificates.ca, cert=meter.certificate, key=meter.key, retry=retry, clock=lambda: 1_000_000.0
        ) as client:
            yield board, client


def assignments(count: int) -> FunctionSetAssignmentsList:
    items = [FunctionSetAssignments(href=f"/fsa/{n}", mrid=f"{n:032X}") for n in range(count)]
    return FunctionSetAssignmentsList(href="/fsa", function_set_assignments=items)


async def test_what_has_not_changed_is_not_sent_again(session) -> None:
    board, client = session
    first = await client.get("/clock", Time)
    again = await client.get("/clock", Time)
    assert again == first
    board.resources["/clock"] = Time(href="/clock", current_time=1_000_200)
    assert (await client.get("/clock", Time)).current_time == 1_000_200
    assert [status for _, _, status in board.requests] == [200, 304, 200]


async def test_any_list_is_read_whole_with_its_poll_rate(session) -> None:
    board, client = session
    board.resources["/fsa"] = assignments(5)
    page = await client.read_list("/fsa", FunctionSetAssignmentsList)
    assert [item.href for item in page.items] == [f"/fsa/{n}" for n in range(5)]
    assert page.poll_rate_s == 77
    board.resources["/fsa"] = assignments(0)
    assert [item async for item in client.items("/fsa", FunctionSetAssignmentsList)] == []
    with pytest.raises(TypeError, match="not a list"):
        await client.read_list("/clock", Time)


async def test_time_is_the_servers(session) -> None:
    _, client = session
    assert client.now() == 1_000_000
    assert await client.synchronize() == 100
    assert client.now() == 1_000_100


async def test_documents_of_a_der_go_where_it_links_them(session) -> None:
    board, client = session
    der = DER(der_status_link=Link(href="/odd/status"))
    await client.put_der(der, DERStatus(reading_time=7))
    assert decode(parse(board.bodies["/odd/status"]), DERStatus).reading_time == 7
    with pytest.raises(ProtocolError, match="DERCapabilityLink"):
        await client.put_der(der, DERCapability())


async def test_deleting_what_is_gone_is_fine(session) -> None:
    board, client = session
    await client.delete("/clock")
    await client.delete("/clock")
    assert [status for _, _, status in board.requests] == [204, 404]


async def test_registration_in_band_and_the_pin(session) -> None:
    board, client = session
    with pytest.raises(NotRegistered):
        await client.register(in_band=False)

    def enrol(path: str, body: bytes) -> str:
        device = decode(parse(body), EndDevice)
        assert (path, device.lfdi) == ("/e", client.lfdi)
        device.href, device.registration_link = "/e/me", Link(href="/e/me/rg")
        board.resources |= {"/e/me": device, "/e/me/rg": Registration(href="/e/me/rg", pin=PIN)}
        board.resources["/e"] = EndDeviceList(href="/e", all=1, results=1, end_devices=[device])
        return "/e/me"

    board.posted = enrol
    assert (await client.register(pin=PIN, device_category=1 << 20)).href == "/e/me"
    assert (await client.register(pin=PIN)).device_category == 1 << 20
    assert [method for method, _, _ in board.requests].count("POST") == 1
    with pytest.raises(WrongPin):
        await client.register(pin=123455)
    board.resources["/e"].end_devices[0].registration_link = None
    with pytest.raises(WrongPin, match="no registration"):
        await client.register(pin=PIN)


@asynccontextmanager
async def listening(certificates: Any, url: str) -> AsyncIterator[NotificationListener]:
    meter = certificates.meter
    listener = NotificationListener(url, ca=certificates.ca, cert=meter.certificate, key=meter.key)
    with pytest.raises(RuntimeError):
        _ = listener.uri
    async with listener:
        yield listener


def context_of(certificates: Any, who: Any) -> ssl.SSLContext:
    context = client_context(certificates.ca, who.certificate, who.key)
    context.check_hostname = False
    return context


async def send(certificates: Any, who: Any, uri: str, body: bytes, media_type: str = MEDIA_TYPE) -> int:
    connector = aiohttp.TCPConnector(ssl=context_of(certificates, who))
    headers = {"Content-Type": media_type}
    async with aiohttp.ClientSession(connector=connector) as session, session.post(uri, data=body, headers=headers) as response:
        return response.status


async def test_a_subscription_leads_to_notifications_from_the_server_alone(session, certificates) -> None:
    board, client = session
    device = EndDevice(subscription_list_link=ListLink(href="/e/me/sub"))
    async with listening(certificates, str(client.base_url)) as listener:
        assert await subscribe(client, device, "/derp", listener.uri) == "/e/me/sub/1"
        asked = decode(parse(board.bodies["/e/me/sub"]), Subscription)
        assert (asked.subscribed_resource, asked.notification_uri, asked.encoding) == ("/derp", listener.uri, 0)
        got: list[Notification] = []
        listener.on_notification = got.append
        body = encode(Notification(subscribed_resource="/derp", status=0, subscription_uri="/e/me/sub/1"))
        server, meter = certificates.server, certificates.meter
        assert await send(certificates, server, listener.uri, body) == 204
        assert await send(certificates, meter, listener.uri, body) == 403, "a device of the same authority is not the server"
        assert await send(certificates, server, listener.uri + "x", body) == 404
        assert await send(certificates, server, listener.uri, body, "text/plain") == 415
        assert await send(certificates, server, listener.uri, b"<Notification") == 400
        assert await send(certificates, server, listener.uri, b" " * (1 << 19)) == 413
        with pytest.raises(aiohttp.ClientError):
            await send(certificates, certificates.foreign_meter, listener.uri, body)
        assert [n.subscribed_resource for n in got] == ["/derp"]
        assert listener.received == 1
    with pytest.raises(ProtocolError, match="SubscriptionListLink"):
        await subscribe(client, EndDevice(), "/derp", "https://127.0.0.1:1/x")


def test_only_certificates_with_the_hosts_name_are_the_servers(certificates) -> None:
    der = ssl.PEM_cert_to_DER_cert(
        certificates.server.certificate.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    )
    assert names_host(der, "localhost")
    assert names_host(der, "LOCALHOST")
    assert names_host(der, "127.0.0.1")
    assert not names_host(der, "example.org")
    assert not names_host(der, "10.0.0.1")
    assert not names_host(b"nonsense", "localhost")


async def test_refusals_of_reads_and_writes_carry_their_path(session) -> None:
    _, client = session
    with pytest.raises(Refused) as caught:
        await client.get("/nothing", Time)
    assert (caught.value.status, caught.value.path) == (404, "/nothing")
