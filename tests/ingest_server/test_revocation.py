from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from ingest_harness import Pki, Server, device_row, serving

from ieee2030_5.pki import Authority, ensure_crl, revoke
from ieee2030_5.pki.responder import Responder, create_app, ensure_responders
from ingest_server.certificates import client_certificate
from ingest_server.credentials import load_credentials
from ingest_server.operational.registry import Registry
from ingest_server.options import ServerOptions
from ingest_server.revocation import read_revocations

YEAR = dt.timedelta(days=365)


@pytest.fixture
def own(tmp_path: Path) -> Pki:
    """An authority that may revoke: the session's serves other tests."""
    authority = Authority.ensure(tmp_path / "pki")
    devices = {name: authority.ensure_device(name) for name in ("METER_A", "METER_B")}
    return Pki(authority, authority.ensure_server(["localhost", "127.0.0.1"]), devices)


@pytest.fixture
def theirs(own: Pki, options: ServerOptions) -> ServerOptions:
    """Options of a server of `own`, both devices known, with the lists of its authorities."""
    registry = Registry(options.operational_url)
    registry.register(device_row(credential, 111115) for credential in own.devices.values())
    registry.close()
    crl = ensure_crl(own.authority)
    return replace(options, ca=own.authority.certificate_path, cert=own.server.certificate, key=own.server.key, crl=crl)


def longer_ago(authority: Authority, ago: dt.timedelta) -> Authority:
    return replace(authority, now=lambda: dt.datetime.now(dt.UTC) - ago)


async def get(session: aiohttp.ClientSession) -> tuple[int, str | None]:
    async with session.get("/tm") as response:
        await response.read()
        return response.status, response.headers.get("Connection")


def fresh(server: Server, pki: Pki, name: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(ssl=pki.client(name)))


async def test_a_device_revoked_under_way_is_out_and_the_others_stay(own: Pki, theirs: ServerOptions) -> None:
    async with serving(theirs, own) as server:
        metrics = server.state.access.metrics
        assert [await get(server.session(name)) for name in own.devices] == [(200, None)] * 2
        revoke(own.authority, [own.devices["METER_A"].lfdi])
        assert (await get(server.session("METER_A")))[0] == 200
        assert await server.front.reload()
        # The open connection is refused and closed, a new one fails in its handshake, the others go on undisturbed.
        assert await get(server.session("METER_A")) == (403, "close")
        with pytest.raises(aiohttp.ClientError):
            await get(server.session("METER_A"))
        assert metrics.handshake_failures == {"revoked": 1}
        assert (await get(server.session("METER_B")))[0] == 200
        assert metrics.handshakes.counts.count(0) < len(metrics.handshakes.counts)
        assert sum(metrics.handshakes.counts) == 2
        kinds = [event.kind for event in server.registry.security_events()]
        assert "certificate_revoked" in kinds


async def test_a_stale_list_neither_locks_out_nor_lets_in(own: Pki, theirs: ServerOptions) -> None:
    revoke(longer_ago(own.authority, YEAR), [own.devices["METER_A"].lfdi])
    assert load_credentials(theirs).crl_stale
    async with serving(theirs, own) as server:
        assert await get(server.session("METER_A")) == (403, "close")
        assert (await get(server.session("METER_B")))[0] == 200
    async with serving(replace(theirs, crl_stale="refuse"), own) as server:
        for name in own.devices:
            with pytest.raises(aiohttp.ClientError):
                await get(server.session(name))
        assert set(server.state.access.metrics.handshake_failures) <= {"crl_stale", "revoked"}


async def test_files_that_are_wrong_leave_what_was_loaded(own: Pki, theirs: ServerOptions, tmp_path: Path) -> None:
    server_files = (theirs.cert, theirs.key, theirs.ca, theirs.crl)
    async with serving(theirs, own) as server:
        for path in server_files:
            kept = path.read_bytes()
            path.write_bytes(kept[:-60])
            assert not await server.front.reload()
            path.write_bytes(kept)
            async with fresh(server, own, "METER_A") as session:
                assert (await get(session))[0] == 200
        assert await server.front.reload()


async def test_the_server_certificate_is_exchanged_under_an_open_connection(own: Pki, theirs: ServerOptions) -> None:
    async with serving(theirs, own) as server:
        before = server.front.lfdi
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=own.client("METER_A"))
        own.authority.ensure_server(["localhost", "127.0.0.1", "ami.example.edu"])
        assert await server.front.reload()
        assert server.front.lfdi != before
        writer.write(b"GET /tm HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await reader.readline()
        assert "ami.example.edu" not in str(writer.get_extra_info("peercert"))
        writer.close()
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=own.client("METER_A"))
        assert "ami.example.edu" in str(writer.get_extra_info("peercert"))
        writer.close()


def test_lists_are_believed_from_their_authorities_alone(own: Pki, tmp_path: Path) -> None:
    authority = own.authority
    foreign = Authority.ensure(tmp_path / "foreign")
    victim = own.devices["METER_A"]
    bundle = [authority.root.certificate, authority.issuing.certificate]
    both = ensure_crl(authority).read_bytes()
    path = tmp_path / "lists.pem"

    def read(content: bytes):
        path.write_bytes(content)
        return read_revocations(path, bundle)

    certificate = client_certificate(ssl.PEM_cert_to_DER_cert(_first(victim.certificate)))
    found = read(both)
    assert found.complete
    assert certificate not in found
    # A list of someone else says nothing of ours, and alone is no list.
    revoke(foreign, [foreign.ensure_device("METER_A").lfdi])
    others = foreign.crl_path.read_bytes()
    assert read(both + others).serials == found.serials
    with pytest.raises(ValueError, match="no revocation list of an authority"):
        read(others)
    with pytest.raises(ValueError, match="holds no revocation list"):
        read(b"")
    revoke(authority, [victim.lfdi])
    newer = authority.crl_path.read_bytes()
    # The later of two lists counts, wherever it stands.
    assert certificate in read(both + newer)
    assert certificate in read(newer + both)
    end = b"-----END X509 CRL-----"
    assert not read(newer.split(end)[0] + end + b"\n").complete
    forged = bytearray(newer)
    at = forged.rindex(b"\n", 0, forged.rindex(end) - 5) - 10
    forged[at] = ord("A") if forged[at] != ord("A") else ord("B")
    with pytest.raises(ValueError, match="signature"):
        read(bytes(forged))


def _first(path: Path) -> str:
    end = "-----END CERTIFICATE-----"
    return path.read_text().partition(end)[0] + end


@pytest.fixture
async def responder(own: Pki) -> AsyncIterator[tuple[str, list[bytes]]]:
    """The authority's OCSP responder: its address and what it was asked."""
    ensure_responders(own.authority)
    asked: list[bytes] = []

    @web.middleware
    async def note(request: web.Request, handler):
        asked.append(await request.read())
        return await handler(request)

    app = create_app(Responder(own.authority.directory))
    app.middlewares.append(note)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", asked
    await runner.cleanup()


async def test_the_status_of_a_certificate_is_asked_once(own: Pki, theirs: ServerOptions, responder) -> None:
    url, asked = responder
    revoke(own.authority, [own.devices["METER_A"].lfdi])
    async with serving(replace(theirs, crl=None, ocsp_url=url, ocsp_required=True), own) as server:
        assert await get(server.session("METER_A")) == (403, "close")
        assert (await get(server.session("METER_B")))[0] == 200
        for name, status in (("METER_A", 403), ("METER_B", 200)):
            async with fresh(server, own, name) as session:
                assert (await get(session))[0] == status
        assert len(asked) == 2
        assert server.state.access.metrics.ocsp == {"good": 1, "revoked": 1}


async def test_without_an_answer_a_device_is_served_unless_one_is_required(own: Pki, theirs: ServerOptions) -> None:
    nobody = replace(theirs, ocsp_url="http://127.0.0.1:9/")
    async with serving(nobody, own) as server:
        assert (await get(server.session("METER_A")))[0] == 200
        assert server.state.access.metrics.ocsp == {"unavailable": 1}
    async with serving(replace(nobody, ocsp_required=True), own) as server:
        assert await get(server.session("METER_A")) == (503, "close")
