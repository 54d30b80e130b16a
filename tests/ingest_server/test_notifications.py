"""Subscribers are told what changed: over TLS to their own certificate, until it arrives."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from ingest_harness import SEP, Pki, Server

from ieee2030_5.resources import DERProgram, DERProgramList, ListLink, Notification, Subscription
from ieee2030_5.tls import server_context
from ieee2030_5.xml import decode, encode, parse
from ingest_server.notifications.notifier import Notifier
from ingest_server.notifications.outbox import Outbox
from ingest_server.notifications.post import Sender
from ingest_server.operational.resources import Publication


@dataclass
class Receiver:
    port: int = 0
    status: int = 204
    got: list[Notification] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(decode(parse(await request.read()), Notification))
        return web.Response(status=self.status)


@contextlib.asynccontextmanager
async def receiving(pki: Pki, name: str) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/ntfy", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    own = pki.devices[name]
    site = web.TCPSite(
        runner, "127.0.0.1", 0, ssl_context=server_context(pki.authority.certificate_path, own.certificate, own.key)
    )
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def notifier(server: Server) -> AsyncIterator[Notifier]:
    outbox = Outbox(f"sqlite:///{server.landing_dir.parent / 'operational.sqlite'}", server.resources)
    pki = server.pki
    sender = Sender(pki.authority.certificate_path, pki.server.certificate, pki.server.key, timeout_s=3)
    running = Notifier(server.state, outbox, sender)
    await running.step()
    yield running
    outbox.close()


def program(name: str) -> DERProgram:
    return DERProgram(mrid="A1" * 16, description=name, primacy=1, der_control_list_link=ListLink(href="/derp/1/derc"))


async def subscribe(server: Server, port: int, resource: str = "/derp", name: str = "METER_A") -> str:
    wanted = Subscription(
        subscribed_resource=resource, encoding=0, level="-S1", limit=5, notification_uri=f"https://127.0.0.1:{port}/ntfy"
    )
    path = f"/edev/{server.pki.devices[name].sfdi}/sub"
    async with server.session(name).post(path, data=encode(wanted), headers=SEP) as response:
        assert response.status == 201
        return response.headers["Location"]


async def test_a_change_is_told_once_with_what_it_is_now(server: Server, notifier: Notifier) -> None:
    async with receiving(server.pki, "METER_A") as receiver:
        location = await subscribe(server, receiver.port)
        server.resources.publish([Publication("/derp/1", program("first"))])
        server.resources.publish([Publication("/derp/1", program("second"))])
        assert await notifier.step() == 1
        assert await notifier.step() == 0
        [told] = receiver.got
        assert (told.subscribed_resource, told.subscription_uri, told.status) == ("/derp", location, 0)
        assert isinstance(told.resource, DERProgramList)
        assert [p.description for p in told.resource.der_programs] == ["second"]


async def test_what_others_see_is_not_told(server: Server, notifier: Notifier) -> None:
    async with receiving(server.pki, "METER_A") as receiver:
        await subscribe(server, receiver.port)
        server.resources.publish([Publication("/derp/1", program("B only"), server.pki.devices["METER_B"].lfdi)])
        assert await notifier.step() == 0
        assert receiver.got == []


async def test_a_receiver_that_is_away_is_told_later(server: Server, notifier: Notifier) -> None:
    async with receiving(server.pki, "METER_A") as receiver:
        receiver.status = 503
        await subscribe(server, receiver.port)
        server.resources.publish([Publication("/derp/1", program("x"))])
        assert await notifier.step() == 0
        receiver.status = 204
        assert await notifier.step() == 0, "it is not due yet"
        assert len(receiver.got) == 1
        server.later(dt.timedelta(minutes=1))
        assert await notifier.step() == 1
        assert len(receiver.got) == 2


async def test_another_certificate_at_the_address_gets_nothing(server: Server, notifier: Notifier) -> None:
    async with receiving(server.pki, "METER_B") as receiver:
        await subscribe(server, receiver.port)
        server.resources.publish([Publication("/derp/1", program("x"))])
        assert await notifier.step() == 0
        assert receiver.got == []
        assert [e.kind for e in server.registry.security_events()] == ["foreign_notification"]


async def test_a_subscription_ends_with_its_resource_and_when_the_receiver_disowns_it(server: Server, notifier: Notifier) -> None:
    async with receiving(server.pki, "METER_A") as receiver:
        location = await subscribe(server, receiver.port, "/derp/1")
        server.resources.publish([Publication("/derp/1", program("x"))])
        await notifier.step()
        server.resources.retract(["/derp/1"])
        await notifier.step()
        assert [told.status for told in receiver.got] == [0, 4]
        assert server.resources.get(location) is None

        receiver.status = 410
        location = await subscribe(server, receiver.port)
        server.resources.publish([Publication("/derp/1", program("y"))])
        await notifier.step()
        assert server.resources.get(location) is None


async def test_a_device_that_is_out_is_told_nothing(server: Server, notifier: Notifier) -> None:
    async with receiving(server.pki, "METER_A") as receiver:
        await subscribe(server, receiver.port)
        server.registry.set_status(server.pki.devices["METER_A"].lfdi, "revoked")
        server.resources.publish([Publication("/derp/1", program("x"))])
        assert await notifier.step() == 0
        assert receiver.got == []
