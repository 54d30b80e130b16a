"""Every document that the server sends, against the standard's XML schema and the habits of clients in the field."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from ingest_harness import SEP, Clock, Pki, Server, device_row, mup, mup_with_types, readings, serving
from lxml import etree
from published_tree import ITEMS, Tree
from resource_walk import Walk

from ieee2030_5.function_sets import CSIP_AUS, NODES
from ieee2030_5.pki import Authority
from ieee2030_5.resources import EndDevice
from ieee2030_5.xml import encode
from ingest_server.limits import Limits
from ingest_server.operational.registry import Registry
from ingest_server.options import ServerOptions

STANDARD, EXTENDED, STRANGER = "METER-STANDARD", "METER-CSIP-AUS", "STRANGER"
OUTSIDE = ("/dcap", "/tm", "/sdev", "/edev", "/mup", "/upt")
"""Resources that are no nodes of the tree."""


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    authority = Authority.ensure(tmp_path_factory.mktemp("pki"))
    devices = {name: authority.ensure_device(name) for name in (STANDARD, EXTENDED, STRANGER)}
    return Pki(authority, authority.ensure_server(["localhost", "127.0.0.1"]), devices)


@pytest.fixture
def options(pki: Pki, tmp_path: Path) -> ServerOptions:
    url = f"sqlite:///{tmp_path / 'operational.sqlite'}"
    registry = Registry(url)
    registry.create_all()
    registry.register(
        [device_row(pki.devices[STANDARD], 111115), replace(device_row(pki.devices[EXTENDED], 123455), profile=CSIP_AUS)]
    )
    registry.close()
    return ServerOptions(
        host="127.0.0.1", port=0, workers=1, ca=pki.authority.certificate_path, cert=pki.server.certificate, key=pki.server.key,
        landing_dir=tmp_path / "landing", operational_url=url, device_cache_s=0.0, max_body_bytes=20_000, enrolment_zone="stanford",
    )  # fmt: skip


@pytest.fixture
async def server(options: ServerOptions, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """A server whose clock stands still, so that a resource is the same at every look."""
    now = dt.datetime.now(dt.UTC)
    monkeypatch.setattr(Clock, "now", lambda self: now)
    async with serving(options, pki) as running:
        yield running


async def mirrored(server: Server, name: str) -> str:
    """Post a mirror with readings; return the address of its usage point."""
    async with server.session(name).post("/mup", data=mup_with_types(server.pki.devices[name].lfdi), headers=SEP) as response:
        assert response.status == 201
        mirror = response.headers["Location"]
    start = int(server.state.now().timestamp()) // 3600 * 3600 - 7200
    for at in (start, start + 15, start + 3600):
        async with server.session(name).post(mirror, data=readings(at), headers=SEP) as response:
            assert response.status == 201
    return mirror.replace("/mup/", "/upt/")


@pytest.mark.parametrize("name", [STANDARD, EXTENDED])
async def test_everything_published_is_served_as_the_schema_says(
    server: Server, name: str, sep_schema: etree.XMLSchema, csip_aus_schema: etree.XMLSchema
) -> None:
    device, usage_point = server.pki.devices[name], await mirrored(server, name)
    extended = name == EXTENDED
    walk = Walk(server.session(name), csip_aus_schema if extended else sep_schema, prefixes=extended)
    await walk.follow([usage_point])
    reading_type = next(path for path in walk.visited if path.endswith("/rt"))
    tree = Tree(device.lfdi, device.sfdi, usage_point, reading_type, int(server.state.now().timestamp()))
    server.resources.publish(tree.publications())
    walk = Walk(server.session(name), walk.schema, walk.prefixes)
    seen = [node for node in NODES if extended or node.extension != CSIP_AUS]
    await walk.follow([*OUTSIDE, *(tree.address(node.path) for node in seen)])
    assert walk.nodes() == set(seen)
    assert walk.absent == set()
    assert {walk.lists[tree.address(node.path)] for node in seen if node.is_list and not node.active_of} == {len(ITEMS)}
    assert {walk.lists[tree.address(node.path)] for node in seen if node.active_of} == {1}
    prefixed = {path for path, root in walk.visited.items() if b"csipaus:" in etree.tostring(root)}
    assert bool(prefixed) is extended


@pytest.mark.parametrize("name", [STANDARD, EXTENDED])
async def test_nothing_published_is_served_as_well(
    server: Server, name: str, sep_schema: etree.XMLSchema, csip_aus_schema: etree.XMLSchema
) -> None:
    own = f"/edev/{server.pki.devices[name].sfdi}"
    walk = Walk(server.session(name), csip_aus_schema if name == EXTENDED else sep_schema, prefixes=name == EXTENDED)
    await walk.follow(["/dcap"])
    to_write = {"cfg", "di", "dstat", "ps", "der/1/dera", "der/1/dercap", "der/1/derg", "der/1/ders"}
    assert walk.absent == {f"{own}/{path}" for path in to_write | ({"cp"} if name == EXTENDED else set())}
    assert set(OUTSIDE) <= walk.visited.keys()


async def test_a_device_that_may_enrol_sees_valid_documents(server: Server, sep_schema: etree.XMLSchema) -> None:
    walk = Walk(server.session(STRANGER), sep_schema)
    await walk.follow(["/dcap"])
    assert walk.visited.keys() == {"/dcap", "/tm", "/edev", "/mup"}


async def test_refusals_are_valid_errors(server: Server, sep_schema: etree.XMLSchema) -> None:
    own, other = server.pki.devices[STANDARD], server.pki.devices[EXTENDED]
    usage_point = await mirrored(server, STANDARD)
    mirror = usage_point.replace("/upt/", "/mup/")
    end_device = encode(EndDevice(lfdi=own.lfdi, sfdi=own.sfdi))
    foreign = encode(EndDevice(lfdi=other.lfdi, sfdi=other.sfdi))
    cases = [
        (400, "POST", "/mup", b"<x", SEP),
        (400, "POST", "/mup", b"<DeviceCapability xmlns='urn:ieee:std:2030.5:ns'/>", SEP),
        (400, "POST", mirror, b'<MirrorMeterReading xmlns="urn:ieee:std:2030.5:ns"><mRID>Z</mRID></MirrorMeterReading>', SEP),
        (400, "PUT", f"/edev/{own.sfdi}/der/1/derg", b'<DERSettings xmlns="urn:ieee:std:2030.5:ns"/>', SEP),
        (400, "GET", "/derp?s=x", None, None),
        (403, "POST", "/mup", mup(other.lfdi), SEP),
        (403, "POST", "/edev", foreign, SEP),
        (404, "GET", "/nothing", None, None),
        (404, "GET", f"/edev/{other.sfdi}", None, None),
        (404, "GET", "/derp/9/derc", None, None),
        (404, "GET", f"/edev/{own.sfdi}/cp", None, None),
        (404, "GET", f"{usage_point}/mr/FFFF", None, None),
        (405, "POST", "/dcap", b"", SEP),
        (405, "DELETE", "/derp", None, None),
        (405, "PATCH", "/mup", b"", SEP),
        (409, "POST", "/edev", end_device, SEP),
        (413, "POST", "/mup", mup(own.lfdi) + b" " * 30_000, SEP),
        (415, "POST", "/mup", mup(own.lfdi), {"Content-Type": "text/plain"}),
        (415, "PUT", f"/edev/{own.sfdi}/di", b"{}", {"Content-Type": "application/json"}),
    ]
    walk = Walk(server.session(STANDARD), sep_schema)
    for status, method, path, body, headers in cases:
        async with server.session(STANDARD).request(method, path, data=body, headers=headers) as response:
            assert response.status == status, (method, path, await response.read())
            root = await walk.check(response, path)
            assert etree.QName(root).localname == "Error"
            assert ("Allow" in response.headers) is (status == 405), path


async def test_colliding_meter_readings_are_refused_to_csip_aus_clients_only(server: Server, sep_schema: etree.XMLSchema) -> None:
    statuses = []
    for name in (STANDARD, EXTENDED):
        body = mup_with_types(server.pki.devices[name].lfdi)
        async with server.session(name).post("/mup", data=body, headers=SEP) as response:
            statuses.append(response.status)
            if response.status == 403:
                await Walk(server.session(name), sep_schema).check(response, "/mup")
    assert statuses == [201, 403]
    server.registry.register([device_row(server.pki.devices[EXTENDED], 123455)])
    async with server.session(EXTENDED).post("/mup", data=body, headers=SEP) as response:
        assert response.status == 201


async def test_a_device_over_its_rate_gets_a_valid_error(
    server: Server, sep_schema: etree.XMLSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.state.access, "_limits", Limits(requests_per_minute=1))
    for status in (200, 429):
        async with server.session(STANDARD).get("/tm") as response:
            assert response.status == status
            await Walk(server.session(STANDARD), sep_schema).check(response, "/tm")
            assert ("Retry-After" in response.headers) is (status == 429)
