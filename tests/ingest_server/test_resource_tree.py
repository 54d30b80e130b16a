"""Published resources as devices see them, and what devices write into the tree."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from ingest_harness import SEP, Pki, Server, device_row, serving

from ieee2030_5.resources import (
    ActivePower,
    DateTimeInterval,
    DERCapability,
    DERControl,
    DERControlBase,
    DERControlList,
    DERProgram,
    DERProgramList,
    EndDeviceList,
    EventStatus,
    Link,
    ListLink,
    LogEvent,
    Response,
    ResponseList,
    SubscriptionList,
)
from ieee2030_5.xml import decode, encode, parse
from ingest_server.operational.resources import Publication
from ingest_server.options import ServerOptions

NOW = int(time.time())


def program(primacy: int = 1, mrid: str = "A1" * 16) -> DERProgram:
    return DERProgram(
        mrid=mrid,
        description="Campus",
        primacy=primacy,
        der_control_list_link=ListLink(href="/derp/1/derc"),
        active_der_control_list_link=ListLink(href="/derp/1/actderc"),
        default_der_control_link=Link(href="/derp/1/dderc"),
    )


def control(mrid: str, start: int, status: int = 0, duration: int = 3400) -> DERControl:
    return DERControl(
        mrid=mrid,
        creation_time=NOW - 1000,
        event_status=EventStatus(current_status=status, date_time=NOW - 1000, potentially_superseded=False),
        interval=DateTimeInterval(start=start, duration=duration),
        der_control_base=DERControlBase(op_mod_energize=True),
    )


def capability(watts: int = 5000) -> DERCapability:
    return DERCapability(modes_supported=1, rtg_max_w=ActivePower(multiplier=0, value=watts), type=83)


def publish_program(server: Server) -> None:
    controls = {"C1": NOW - 60, "C2": NOW + 3600, "C3": NOW - 7200, "C4": NOW - 30}
    server.resources.publish(
        [
            Publication("/derp/1", program()),
            *(
                Publication(f"/derp/1/derc/{name}", control(f"{number:032X}", start, status=2 if name == "C4" else 0))
                for number, (name, start) in enumerate(controls.items(), 1)
            ),
        ]
    )


async def get(server: Server, path: str, cls: type, name: str = "METER_A", status: int = 200) -> object:
    async with server.session(name).get(path) as response:
        body = await response.read()
        assert response.status == status, body
        return decode(parse(body), cls) if status == 200 else None


async def send(server: Server, method: str, path: str, resource: object = None, name: str = "METER_A") -> tuple[int, str]:
    body = encode(resource) if resource is not None else b""
    async with server.session(name).request(method, path, data=body, headers=SEP) as response:
        await response.read()
        return response.status, response.headers.get("Location", "")


async def test_a_list_shows_events_that_have_not_ended_in_the_standards_order(server: Server) -> None:
    publish_program(server)
    page = await get(server, "/derp/1/derc?l=10", DERControlList)
    assert (page.all, page.results) == (3, 3)
    assert [c.href for c in page.der_controls] == ["/derp/1/derc/C1", "/derp/1/derc/C4", "/derp/1/derc/C2"]
    assert [c.event_status.current_status for c in page.der_controls] == [1, 2, 0]

    active = await get(server, "/derp/1/actderc?l=10", DERControlList)
    assert [c.href for c in active.der_controls] == ["/derp/1/derc/C1"]

    second = await get(server, "/derp/1/derc?s=1&l=1", DERControlList)
    assert (second.all, second.results, second.der_controls[0].href) == (3, 1, "/derp/1/derc/C4")
    past = await get(server, "/derp/1/derc?s=9&l=5", DERControlList)
    assert (past.all, past.results, past.der_controls) == (3, 0, [])
    later = await get(server, f"/derp/1/derc?l=10&a={NOW}", DERControlList)
    assert [c.href for c in later.der_controls] == ["/derp/1/derc/C2"]


async def test_links_count_what_the_reader_would_find(server: Server) -> None:
    publish_program(server)
    [shown] = (await get(server, "/derp?l=5", DERProgramList)).der_programs
    assert (shown.der_control_list_link.all, shown.active_der_control_list_link.all) == (3, 1)
    devices = await get(server, "/edev?l=5", EndDeviceList)
    [device] = devices.end_devices
    assert device.der_list_link.all == 1
    assert device.function_set_assignments_list_link.all == 1
    assert device.log_event_list_link.all == 0


async def test_what_is_published_for_one_device_is_not_there_for_another(server: Server) -> None:
    owner = server.pki.devices["METER_A"].lfdi
    server.resources.publish([Publication("/derp/1", program(), owner)])
    assert (await get(server, "/derp?l=5", DERProgramList)).all == 1
    assert (await get(server, "/derp?l=5", DERProgramList, "METER_B")).all == 0
    await get(server, "/derp/1", DERProgram, "METER_B", 404)
    await get(server, "/derp/1/derc", DERControlList, "METER_B", 404)


async def test_the_same_content_is_not_sent_twice(server: Server) -> None:
    publish_program(server)
    session = server.session()
    async with session.get("/derp/1") as first:
        tag = first.headers["ETag"]
    async with session.get("/derp/1", headers={"If-None-Match": f'"other", {tag}'}) as second:
        assert (second.status, await second.read(), second.headers["ETag"]) == (304, b"", tag)
    server.resources.publish([Publication("/derp/1", program(primacy=2))])
    async with session.get("/derp/1", headers={"If-None-Match": tag}) as third:
        assert third.status == 200
        assert third.headers["ETag"] != tag


async def test_publishing_the_same_again_is_no_change(server: Server) -> None:
    publish_program(server)
    before = server.resources.last_change()
    publish_program(server)
    assert server.resources.last_change() == before
    assert server.resources.replace("/derp", []) == ["/derp/1", *(f"/derp/1/derc/C{n}" for n in range(1, 5))]
    await get(server, "/derp/1/derc/C1", DERControl, status=404)


async def test_a_device_puts_its_capability_and_reads_it_back(server: Server) -> None:
    sfdi = server.pki.devices["METER_A"].sfdi
    path = f"/edev/{sfdi}/der/1/dercap"
    await get(server, path, DERCapability, status=404)
    assert (await send(server, "PUT", path, capability()))[0] == 204
    found = await get(server, path, DERCapability)
    assert (found.href, found.rtg_max_w.value) == (path, 5000)
    await get(server, path, DERCapability, "METER_B", 404)
    assert (await send(server, "PUT", path, capability(), "METER_B"))[0] == 404
    assert (await send(server, "PUT", f"/edev/{sfdi}/der/7/dercap", capability()))[0] == 404
    assert (await send(server, "PUT", path, DERCapability(type=83)))[0] == 400
    assert [(m.method, m.path) for m in server.landed()] == [("PUT", path)]


async def test_methods_that_a_resource_lacks_are_named(server: Server) -> None:
    for method, path, allow in (
        ("DELETE", "/derp", "GET, HEAD"),
        ("POST", "/derp", "GET, HEAD"),
        ("PUT", f"/edev/{server.pki.devices['METER_A'].sfdi}/lel", "GET, HEAD, POST"),
    ):
        async with server.session().request(method, path, data=b"<x/>", headers=SEP) as response:
            assert (response.status, response.headers["Allow"]) == (405, allow)


async def test_a_posted_item_is_one_item_however_often_it_comes(server: Server) -> None:
    sfdi = server.pki.devices["METER_A"].sfdi
    event = LogEvent(
        created_date_time=NOW,
        function_set=11,
        log_event_code=1,
        log_event_id=7,
        log_event_pen=32473,
        profile_id=2,
        details="relay",
    )
    first = await send(server, "POST", f"/edev/{sfdi}/lel", event)
    assert first[0] == 201
    assert await send(server, "POST", f"/edev/{sfdi}/lel", event) == first
    assert (await get(server, first[1], LogEvent)).details == "relay"
    assert (
        await get(server, f"/edev/{sfdi}", type((await get(server, "/edev", EndDeviceList)).end_devices[0]))
    ).log_event_list_link.all == 1
    assert (await send(server, "DELETE", first[1]))[0] == 204
    await get(server, first[1], LogEvent, status=404)
    assert (await send(server, "POST", f"/edev/{sfdi}/lel", LogEvent(created_date_time=NOW)))[0] == 400


async def test_responses_are_the_devices_own(server: Server) -> None:
    lfdi = server.pki.devices["METER_A"].lfdi
    answer = Response(created_date_time=NOW, end_device_lfdi=lfdi, status=1, subject="A1" * 16)
    assert (await send(server, "POST", "/rsps/1/rsp", answer))[0] == 201
    assert (await get(server, "/rsps/1/rsp?l=5", ResponseList)).all == 1
    assert (await get(server, "/rsps/1/rsp?l=5", ResponseList, "METER_B")).all == 0
    assert (await send(server, "POST", "/rsps/1/rsp", answer, "METER_B"))[0] == 403
    assert (await send(server, "POST", "/rsps/9/rsp", answer))[0] == 404


@pytest.mark.parametrize(("role", "visible"), [("operator", 3), ("auditor", 3), ("aggregator", 2), ("meter", 1)])
async def test_roles_see_their_scope(options: ServerOptions, pki: Pki, role: str, visible: int) -> None:
    async with serving(options, pki) as server:
        stranger, member = pki.devices["STRANGER"], pki.devices["METER_A"]
        server.registry.register([replace(device_row(stranger, 111115), role=role)])
        server.registry.set_fleet(stranger.lfdi, [member.lfdi])
        devices = await get(server, "/edev?l=9", EndDeviceList, "STRANGER")
        assert (devices.all, len(devices.end_devices)) == (visible, visible)
        sfdis = [d.sfdi for d in devices.end_devices]
        assert sfdis == sorted(sfdis)
        written = await send(server, "PUT", f"/edev/{member.sfdi}/der/1/dercap", capability(), "STRANGER")
        assert written[0] == {"operator": 204, "auditor": 403, "aggregator": 204, "meter": 404}[role]
        if written[0] == 204:
            assert server.landed()[-1].device_lfdi == member.lfdi
            assert (await get(server, f"/edev/{member.sfdi}/der/1/dercap", DERCapability)).rtg_max_w.value == 5000
        published = await send(server, "POST", "/derp", program(), "STRANGER")
        assert published[0] == (201 if role == "operator" else 403 if role == "auditor" else 405)
        if published[0] == 201:
            assert (await get(server, "/derp?l=5", DERProgramList, "METER_B")).all == 1


async def test_a_subscription_tells_its_owner_only(server: Server) -> None:
    from ieee2030_5.resources import Subscription

    path = f"/edev/{server.pki.devices['METER_A'].sfdi}/sub"

    def wanted(resource: str = "/derp", uri: str = "https://127.0.0.1:9/ntfy") -> Subscription:
        return Subscription(subscribed_resource=resource, encoding=0, level="-S1", limit=10, notification_uri=uri)

    assert (await send(server, "POST", path, wanted()))[0] == 201
    assert (await send(server, "POST", path, wanted()))[0] == 201
    assert (await get(server, f"{path}?l=5", SubscriptionList)).all == 1
    for bad in (wanted("/nothing"), wanted(uri="http://127.0.0.1/ntfy"), wanted(uri="https://192.0.2.1/ntfy")):
        assert (await send(server, "POST", path, bad))[0] == 400


async def test_offers_live_in_their_own_namespace(server: Server) -> None:
    from ieee2030_5.extensions.p2p import P2PCapability, StandingOffer, StandingOfferList
    from ieee2030_5.namespaces import P2P

    async with server.session().get("/p2p") as response:
        body = await response.read()
        assert response.status == 200
        assert b'xmlns="urn:gridtokenx:p2p:1"' in body
        capability = decode(parse(body, namespaces=(P2P,)), P2PCapability)
    offer = StandingOffer(
        mrid="A1" * 16, creation_time=NOW, energy_limit=500, interval=DateTimeInterval(start=NOW, duration=3600),
        price_limit=90_000, side="sell", status="active",
    )  # fmt: skip
    first = await send(server, "POST", capability.standing_offer_list_link.href, offer)
    assert first[0] == 201
    offer.price_limit = 95_000
    assert await send(server, "POST", "/p2p/offer", offer) == first
    async with server.session().get("/p2p/offer?l=5") as response:
        offers = decode(parse(await response.read(), namespaces=(P2P,)), StandingOfferList)
    assert [o.price_limit for o in offers.standing_offers] == [95_000]
    async with server.session("METER_B").get("/p2p/offer?l=5") as response:
        assert b'all="0"' in await response.read()
    body = encode(offer).replace(b"urn:gridtokenx:p2p:1", b"urn:ieee:std:2030.5:ns")
    async with server.session().post("/p2p/offer", data=body, headers=SEP) as response:
        assert response.status == 400


async def test_extensions_are_for_those_who_asked(options: ServerOptions, pki: Pki) -> None:
    from ieee2030_5.xml import encode_fragment

    async with serving(options, pki) as server:
        member = pki.devices["METER_A"]
        server.registry.register([replace(device_row(member, 111115), profile="csip_aus")])
        server.resources.publish(
            [
                Publication("/derp/1", program()),
                Publication(
                    "/derp/1/derc/C1",
                    replace(
                        control("01" * 16, NOW - 5),
                        der_control_base=DERControlBase(op_mod_imp_lim_w=ActivePower(multiplier=0, value=1500)),
                    ),
                ),
            ]
        )
        for name, seen in (("METER_A", True), ("METER_B", False)):
            for path in ("/derp/1/derc?l=5", "/derp/1/derc/C1"):
                async with server.session(name).get(path) as response:
                    body = await response.read()
                    assert (b"opModImpLimW" in body, b"csipaus" in body) == (seen, seen)
            sfdi = pki.devices[name].sfdi
            async with server.session(name).get(f"/edev/{sfdi}") as response:
                assert (b"ConnectionPointLink" in await response.read()) is seen
            async with server.session(name).get(f"/edev/{sfdi}/cp") as response:
                assert response.status == 404
        assert encode_fragment(program()).startswith("<DERProgram>")
