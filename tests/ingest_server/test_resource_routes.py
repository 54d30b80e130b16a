from __future__ import annotations

import time

import aiohttp
import pytest
from ingest_harness import SEP, Pki, Server, mup

from ieee2030_5.client import Client
from ieee2030_5.pki import Authority
from ieee2030_5.resources import (
    DeviceCapability,
    EndDevice,
    EndDeviceList,
    Error,
    MirrorUsagePointList,
    Registration,
    SelfDevice,
    Time,
)
from ieee2030_5.tls import client_context
from ieee2030_5.xml import decode, encode, parse


async def fetch(server: Server, path: str, cls: type, name: str = "METER_A"):
    async with server.session(name).get(path) as response:
        body = await response.read()
        assert response.status == 200, path
        assert response.headers["Content-Type"] == "application/sep+xml"
        assert response.content_length == len(body)
        assert b" href=" in body
        return decode(parse(body), cls)


async def test_device_capability_links_lead_somewhere(server: Server) -> None:
    dcap = await fetch(server, "/dcap", DeviceCapability)
    links = [getattr(dcap, name) for name in DeviceCapability.__dataclass_fields__ if name.endswith("_link")]
    assert {link.href for link in links if link} == {
        "/tm", "/sdev", "/edev", "/mup", "/upt", "/bill", "/dr", "/derp", "/msg", "/rsps", "/tp",
    }  # fmt: skip
    assert (dcap.poll_rate, dcap.end_device_list_link.all, dcap.mirror_usage_point_list_link.all) == (900, 1, 0)
    async with server.session().post("/mup", data=mup(server.pki.devices["METER_A"].lfdi), headers=SEP) as response:
        assert response.status == 201
    assert (await fetch(server, "/dcap", DeviceCapability)).mirror_usage_point_list_link.all == 1
    for link in filter(None, links):
        async with server.session().get(link.href) as response:
            assert response.status == 200
            root = parse(await response.read())
            assert root.get("href") == link.href


async def test_time_is_now_in_utc(server: Server) -> None:
    document = await fetch(server, "/tm", Time)
    assert abs(document.current_time - time.time()) < 60
    assert (document.local_time, document.tz_offset, document.dst_offset) == (document.current_time, 0, 0)


async def test_self_device_is_the_servers_certificate(server: Server) -> None:
    document = await fetch(server, "/sdev", SelfDevice)
    assert (document.lfdi, document.sfdi) == (server.pki.server.lfdi, server.pki.server.sfdi)


async def test_a_device_sees_itself_only(server: Server) -> None:
    a, b = server.pki.devices["METER_A"], server.pki.devices["METER_B"]
    listed = await fetch(server, "/edev?s=0&l=10", EndDeviceList)
    assert (listed.all, listed.results) == (1, 1)
    (own,) = listed.end_devices
    assert (own.href, own.lfdi, own.sfdi, own.enabled) == (f"/edev/{a.sfdi}", a.lfdi, a.sfdi, True)
    assert await fetch(server, own.href, EndDevice) == own
    past = await fetch(server, "/edev?s=1&l=3", EndDeviceList)
    assert (past.all, past.results, past.end_devices) == (1, 0, [])
    registration = await fetch(server, own.registration_link.href, Registration)
    assert (registration.href, registration.pin) == (f"/edev/{a.sfdi}/rg", 111115)
    assert registration.date_time_registered == own.changed_time
    for path in (f"/edev/{b.sfdi}", f"/edev/{b.sfdi}/rg", "/edev/0", "/edev/x"):
        async with server.session().get(path) as response:
            assert response.status == 404
            assert response.content_type == "application/sep+xml"


async def test_head_answers_as_get_without_the_body(server: Server) -> None:
    own = server.pki.devices["METER_A"].sfdi
    for path in ("/dcap", "/tm", "/sdev", "/edev", f"/edev/{own}", f"/edev/{own}/rg", "/mup"):
        async with server.session().get(path) as got, server.session().head(path) as head:
            assert head.status == 200
            assert await head.read() == b""
            assert head.headers["Content-Type"] == got.headers["Content-Type"]
            assert head.headers["Content-Length"] == got.headers["Content-Length"]
    async with server.session().head("/mup/0000000000000000") as head:
        assert head.status == 404


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/mup", {"GET", "HEAD", "POST"}),
        ("PATCH", "/mup/0000000000000000", {"GET", "HEAD", "POST", "PUT", "DELETE"}),
        ("POST", "/dcap", {"GET", "HEAD"}),
        ("POST", "/tm", {"GET", "HEAD"}),
        ("PUT", "/edev/1/rg", {"GET", "HEAD"}),
    ],
)
async def test_other_methods_are_405_with_allow(server: Server, method: str, path: str, allow: set[str]) -> None:
    async with server.session().request(method, path) as response:
        assert response.status == 405
        assert set(response.headers["Allow"].replace(" ", "").split(",")) == allow
        decode(parse(await response.read()), Error)


async def test_unknown_path_is_404(server: Server) -> None:
    async with server.session().get("/nothing/here") as response:
        assert response.status == 404
        decode(parse(await response.read()), Error)


async def test_unknown_device_is_refused_everything_and_reported_once(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    stranger = server.pki.devices["STRANGER"]
    for path in ("/dcap", "/tm", "/edev", "/mup", "/nothing"):
        async with server.session("STRANGER").get(path) as response:
            assert response.status == 403
            decode(parse(await response.read()), Error)
    async with server.session("STRANGER").post("/mup", data=mup(stranger.lfdi), headers=SEP) as response:
        assert response.status == 403
    (event,) = server.registry.security_events()
    assert (event.kind, event.lfdi, event.remote) == ("unknown_device", stranger.lfdi, "127.0.0.1")
    assert server.landed() == []
    record = next(r for r in caplog.records if r.name == "ingest_server.access")
    assert record.fields["lfdi"] == stranger.lfdi
    assert record.fields["status"] == 403
    assert "registry" in record.fields["reason"]


async def test_suspended_device_is_out_and_comes_back(server: Server) -> None:
    lfdi = server.pki.devices["METER_A"].lfdi
    for status, expected in (("suspended", 403), ("revoked", 403), ("active", 200)):
        server.registry.set_status(lfdi, status)
        async with server.session().get("/dcap") as response:
            assert response.status == expected
    assert [e.kind for e in server.registry.security_events()] == ["suspended_device", "revoked_device"]


async def test_posting_a_known_end_device(server: Server) -> None:
    a, b = server.pki.devices["METER_A"], server.pki.devices["METER_B"]
    cases = [
        (encode(EndDevice(lfdi=a.lfdi, sfdi=a.sfdi)), 409),
        (encode(EndDevice(sfdi=a.sfdi)), 409),
        (encode(EndDevice(lfdi=b.lfdi, sfdi=b.sfdi)), 403),
        (encode(EndDevice(lfdi=a.lfdi, sfdi=b.sfdi)), 403),
        (encode(EndDevice()), 400),
        (encode(EndDevice(lfdi=a.lfdi)).replace(a.lfdi.encode(), b"not an LFDI"), 400),
        (encode(EndDevice(lfdi=a.lfdi)).replace(a.lfdi.encode(), b"AA" * 21), 400),
        (b"<EndDevice", 400),
    ]
    for body, status in cases:
        async with server.session().post("/edev", data=body, headers=SEP) as response:
            assert response.status == status, body
    assert len(server.registry.devices()) == 2


async def test_open_enrolment(open_server: Server) -> None:
    server, stranger = open_server, open_server.pki.devices["STRANGER"]
    dcap = await fetch(server, "/dcap", DeviceCapability, "STRANGER")
    assert (dcap.end_device_list_link.all, dcap.mirror_usage_point_list_link.all, dcap.self_device_link) == (0, 0, None)
    assert (await fetch(server, "/mup", MirrorUsagePointList, "STRANGER")).all == 0
    assert (await fetch(server, "/edev", EndDeviceList, "STRANGER")).all == 0
    async with server.session("STRANGER").post("/mup", data=mup(stranger.lfdi), headers=SEP) as response:
        assert response.status == 403
    body = encode(EndDevice(lfdi=stranger.lfdi, sfdi=stranger.sfdi, device_category=0x200000))
    async with server.session("STRANGER").post("/edev", data=body, headers=SEP) as response:
        assert (response.status, response.headers["Location"]) == (201, f"/edev/{stranger.sfdi}")
    async with server.session("STRANGER").post("/edev", data=body, headers=SEP) as response:
        assert response.status == 409
    own = await fetch(server, f"/edev/{stranger.sfdi}", EndDevice, "STRANGER")
    assert (own.lfdi, own.device_category) == (stranger.lfdi, 0x200000)
    async with server.session("STRANGER").post("/mup", data=mup(stranger.lfdi), headers=SEP) as response:
        assert response.status == 201
    assert server.landed()[0].zone == "stanford"


async def test_certificate_of_another_authority_or_none_does_not_connect(server: Server, tmp_path) -> None:
    other = Authority.ensure(tmp_path / "other")
    device = other.ensure_device("METER_A")
    context = client_context(server.pki.authority.certificate_path, device.certificate, device.key)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{server.url}/dcap")


async def test_the_protocol_client_walks_the_server(server: Server, pki: Pki) -> None:
    device = pki.devices["METER_A"]
    ca = pki.authority.certificate_path
    async with Client(server.url, ca=ca, cert=device.certificate, key=device.key) as client:
        assert (await client.end_device()).sfdi == device.sfdi
        location = await client.post_mirror_usage_point(mup(device.lfdi))
        assert [m.href for m in await client.mirror_usage_points()] == [location]
