from __future__ import annotations

from dataclasses import replace

import pytest
from ingest_harness import SEP, Pki, Server, device_row, mup, serving

from ieee2030_5.resources import EndDevice
from ieee2030_5.xml import encode, parse
from ingest_server.access import Peer
from ingest_server.operational.registry import Device
from ingest_server.options import ServerOptions
from ingest_server.replies import Refusal


async def get(server: Server, name: str, path: str = "/tm") -> tuple[int, str | None, bytes]:
    async with server.session(name).get(path) as response:
        return response.status, response.headers.get("Retry-After"), await response.read()


async def test_three_failed_authentications_lead_to_a_cool_down(options: ServerOptions, pki: Pki) -> None:
    async with serving(replace(options, max_failed_auth=3, cool_down_s=45), pki) as server:
        assert [(await get(server, "STRANGER"))[:2] for _ in range(5)] == [(403, None)] * 3 + [(429, "45")] * 2
        # Others behind the same address are not concerned.
        assert (await get(server, "METER_A"))[0] == 200
        kinds = [event.kind for event in server.registry.security_events()]
        assert sorted(kinds) == ["cool_down", "unknown_device"]
        # Not even a device that has meanwhile been registered is looked up before its time.
        server.registry.register([device_row(pki.devices["STRANGER"], 111115)])
        assert (await get(server, "STRANGER"))[0] == 429


async def test_a_claimed_identity_counts_as_failed_and_a_foreign_path_does_not(options: ServerOptions, pki: Pki) -> None:
    async with serving(replace(options, max_failed_auth=3), pki) as server:
        other = pki.devices["METER_B"]
        assert [(await get(server, "METER_A", f"/edev/{other.sfdi}"))[0] for _ in range(5)] == [404] * 5
        statuses = []
        for body, path in ((encode(EndDevice(lfdi=other.lfdi, sfdi=other.sfdi)), "/edev"), (mup(other.lfdi), "/mup")) * 2:
            async with server.session("METER_A").post(path, data=body, headers=SEP) as response:
                statuses.append(response.status)
        assert statuses == [403, 403, 403, 429]


async def test_requests_over_the_rate_are_told_when_to_come_back(options: ServerOptions, pki: Pki) -> None:
    async with serving(replace(options, rate_limit_per_min=4), pki) as server:
        assert [(await get(server, "METER_A"))[0] for _ in range(4)] == [200] * 4
        status, wait, body = await get(server, "METER_A")
        assert status == 429
        assert 1 <= int(wait or "0") <= 75
        assert parse(body).findtext("{*}reasonCode") == "4"
        assert (await get(server, "METER_B"))[0] == 200
        assert (await get(server, "METER_A"))[0] == 429
        assert [event.kind for event in server.registry.security_events()] == ["rate_limit"]
        assert server.state.access.metrics.rate_limited == 2


@pytest.mark.parametrize("role", ["meter", "aggregator", "operator", "auditor", "wizard"])
async def test_a_role_finds_the_devices_of_its_scope(server: Server, pki: Pki, role: str) -> None:
    access, registry = server.state.access, server.registry
    me, mine, other = (pki.devices[name] for name in ("STRANGER", "METER_A", "METER_B"))
    registry.register([replace(device_row(me, 111115), role=role)])
    registry.set_fleet(me.lfdi, [mine.lfdi])
    fleet = registry.fleet_of(me.lfdi) if role == "aggregator" else frozenset()
    peer = Peer(me.lfdi, me.sfdi, "", registry.by_lfdi(me.lfdi), fleet)

    async def found(identifier: str | int) -> str:
        try:
            return (await access.subject(peer, identifier)).lfdi
        except Refusal as refusal:
            return f"{refusal.status} {refusal.security_kind}"

    everything = role in ("operator", "auditor")
    # Only who may see everything is told the truth about what there is not.
    absent = "404 None" if everything else "404 foreign_resource"
    for device, visible in ((me, True), (mine, everything or role == "aggregator"), (other, everything)):
        wanted = device.lfdi if visible else absent
        assert (device.lfdi in peer.scope) is visible
        for identifier in (device.lfdi, device.lfdi.lower(), str(device.sfdi), device.sfdi):
            assert await found(identifier) == wanted
    for nonsense in ("", "x", "0", "-1", f"0{me.sfdi}", "F" * 40, str(me.sfdi + 1), "٣", me.lfdi[:-1]):
        assert await found(nonsense) == absent
    assert peer.may_write is (role != "auditor")


async def test_a_suspended_or_expired_row_ends_a_device_on_its_open_connection(server: Server, pki: Pki) -> None:
    lfdi = pki.devices["METER_A"].lfdi
    assert (await get(server, "METER_A"))[0] == 200
    server.registry.set_status(lfdi, "suspended")
    assert (await get(server, "METER_A"))[0] == 403
    row: Device = server.registry.by_lfdi(pki.devices["METER_B"].lfdi)
    server.registry.register([replace(row, not_after=row.registered_at)])
    assert (await get(server, "METER_B"))[0] == 403
    assert {e.kind for e in server.registry.security_events()} == {"suspended_device", "expired_device"}
