"""What must not come through, each by name; the drill in tests/drills looks for what nobody thought of."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import gzip
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ingest_harness import Pki, Server, device_row, mup, readings, serving

from ieee2030_5 import function_sets
from ieee2030_5.pki import Authority, ensure_crl, revoke
from ieee2030_5.resources import DateTimeInterval, DemandResponseProgram, EndDeviceControl, Error, EventStatus
from ieee2030_5.xml import MEDIA_TYPE, decode, encode, parse
from ingest_server.operational.registry import Registry
from ingest_server.operational.resources import Publication
from ingest_server.options import ServerOptions

DAY = dt.timedelta(days=1)
MIB = 1 << 20


class Raw:
    """A TLS connection of a device, in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (lower case) and body of the next response."""
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            assert head[0].startswith("HTTP/1.1 ")
            return int(head[0].split()[1]), headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def refusal(self) -> int:
        """Status of the next response, which must be an Error document."""
        status, headers, body = await self.answer()
        assert (headers["content-type"], headers["server"]) == (MEDIA_TYPE, "GridTokenX")
        assert decode(parse(body), Error).reason_code is not None
        return status

    async def ended(self) -> bool:
        """Whether the server closes the connection without another word."""
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read() == b""
            return True


@contextlib.asynccontextmanager
async def raw(server: Server, name: str = "METER_A") -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=server.pki.client(name))
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


def post(path: str, body: bytes, *headers: str, length: bool = True) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {MEDIA_TYPE}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def mirror(server: Server) -> str:
    async with raw(server) as device:
        device.writer.write(post("/mup", mup(server.pki.devices["METER_A"].lfdi)))
        return (await device.answer())[1]["location"]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def test_billion_laughs_is_refused_unread(server: Server) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    body = mup(server.pki.devices["METER_A"].lfdi).replace(b"<description>METER_A<", b"<description>&l9;<")
    assert b"&l9;" in body
    async with raw(server) as device:
        device.writer.write(post("/mup", f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>'.encode() + body))
        assert await device.refusal() == 400
    assert server.landed() == []


async def test_external_entities_are_neither_read_nor_fetched(server: Server, tmp_path: Path) -> None:
    asked = []
    listener = await asyncio.start_server(lambda reader, writer: asked.append(writer.close()), "127.0.0.1", 0)
    secret = tmp_path / "secret"
    secret.write_text("ieee2030")
    body = mup(server.pki.devices["METER_A"].lfdi).replace(b">METER_A<", b">&x;<")
    async with listener, raw(server) as device:
        for where in (f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/x", secret.as_uri()):
            for how in (
                "[<!ENTITY x SYSTEM '{}'>]",
                "[<!ENTITY % p SYSTEM '{}'>%p;]",
                "[<!ENTITY x PUBLIC 'a' '{}'>]",
                "SYSTEM '{}'",
            ):
                device.writer.write(post("/mup", f"<!DOCTYPE x {how.format(where)}>".encode() + body))
                assert await device.refusal() == 400
    assert (asked, server.landed()) == ([], [])


async def test_a_body_of_100_mb_is_refused_before_any_of_it_is_here(server: Server) -> None:
    async with raw(server) as device:
        device.writer.write(post("/mup", b"", f"Content-Length: {100 * MIB}", length=False))
        assert await device.refusal() == 413
    assert server.landed() == []


async def test_a_body_of_100_mb_in_chunks_is_refused_before_much_of_it_is_here(server: Server) -> None:
    async with raw(server) as device:
        device.writer.write(post("/mup", b"", "Transfer-Encoding: chunked", length=False))
        refusal = asyncio.create_task(device.refusal())
        sent = 0
        with contextlib.suppress(ConnectionError):
            while not refusal.done() and sent < 100 * MIB:
                device.writer.write(chunk(b" " * (MIB // 4)))
                sent += MIB // 4
                await device.writer.drain()
                await asyncio.sleep(0)
        assert await refusal == 413
        # What fits in the buffers of two sockets, and no more.
        assert sent < 25 * MIB
    await until(lambda: not server.state.access.metrics.connections_open)
    assert server.landed() == []


async def test_a_head_that_does_not_end_is_not_waited_for(options: ServerOptions, pki: Pki) -> None:
    async with serving(replace(options, header_timeout_s=1.0), pki) as server, raw(server) as slow, raw(server) as patient:
        # Complete in time, though in pieces.
        patient.writer.write(b"GET /tm HT")
        await asyncio.sleep(0.05)
        patient.writer.write(b"TP/1.1\r\nHost: x\r\n\r\n")
        assert (await patient.answer())[0] == 200

        async def dribble() -> None:
            with contextlib.suppress(ConnectionError):
                slow.writer.write(b"GET /tm HTTP/1.1\r\nHost: x\r\n")
                while True:
                    slow.writer.write(b"X: y\r\n")
                    await slow.writer.drain()
                    await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        assert await slow.refusal() == 408
        dribbling.cancel()
        assert await slow.ended()
        # An idle connection with nothing begun is kept: devices post every few minutes.
        patient.writer.write(b"GET /tm HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await patient.answer())[0] == 200
        await until(lambda: server.state.access.metrics.connections_open == 1)


async def test_a_body_that_dribbles_in_is_not_waited_for(options: ServerOptions, pki: Pki) -> None:
    async with serving(replace(options, body_timeout_s=0.3), pki) as server:
        location = await mirror(server)
        async with raw(server) as device:
            device.writer.write(post(location, b"", "Content-Length: 9000", length=False))

            async def dribble() -> None:
                with contextlib.suppress(ConnectionError):
                    while True:
                        device.writer.write(b" ")
                        await device.writer.drain()
                        await asyncio.sleep(0.02)

            dribbling = asyncio.create_task(dribble())
            assert await device.refusal() == 408
            dribbling.cancel()
        assert len(server.landed()) == 1


async def test_a_post_in_single_bytes_is_a_post(server: Server) -> None:
    location, body = await mirror(server), readings(0)
    async with raw(server) as device:
        for byte in post(location, body):
            device.writer.write(bytes((byte,)))
            await device.writer.drain()
        assert (await device.answer())[0] == 201
    assert server.landed()[-1].body == body


async def test_a_hundred_pipelined_posts_are_answered_in_order(server: Server) -> None:
    location = await mirror(server)
    bodies = [readings(start) for start in range(100)]
    places = [location if n % 10 else "/mup/0000000000000000" for n in range(100)]
    async with raw(server) as device:
        device.writer.write(b"".join(post(place, body) for place, body in zip(places, bodies, strict=True)))
        statuses = [(await device.answer())[0] for _ in bodies]
    assert statuses == [201 if n % 10 else 404 for n in range(100)]
    assert [m.body for m in server.landed()[1:]] == [body for n, body in enumerate(bodies) if n % 10]


async def test_a_padded_content_length_is_a_length(server: Server) -> None:
    body = mup(server.pki.devices["METER_A"].lfdi)
    async with raw(server) as device:
        for length, status in (("{}   ", 201), ("   {}", 204), ("\t{}\t", 204)):
            device.writer.write(post("/mup", b"", f"Content-Length:{length.format(len(body))}", length=False) + body)
            assert (await device.answer())[0] == status


SMUGGLED = b"GET /tm HTTP/1.1\r\nHost: x\r\n\r\n"


TWO_ENDS = (
    ("Content-Length: 5", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding: chunked", "Content-Length: 0"),
    ("Content-Length: 0", "Content-Length: 5"),
    ("Content-Length: 5, 0",),
    ("Content-Length: -5",),
    ("Content-Length: +0",),
    ("Transfer-Encoding: chunked, identity",),
    ("Transfer-Encoding : chunked",),
    ("Transfer-Encoding: xchunked",),
)


async def test_two_ways_to_end_a_body_are_none(server: Server) -> None:
    for headers in TWO_ENDS:
        async with raw(server) as device:
            device.writer.write(post("/mup", b"0\r\n\r\n" + SMUGGLED, *headers, length=False))
            assert await device.refusal() == 400, headers
            assert await device.ended(), headers
    assert server.landed() == []


NOT_HERE = (
    (post("/mup", gzip.compress(b" " * 20 * MIB), "Content-Encoding: gzip"), 415),
    (post("/mup", b"not gzip", "Content-Encoding: gzip"), 415),
    (post("/mup", b"", "Expect: the unexpected"), 417),
    (post("/mup", b"").replace(b"HTTP/1.1", b"HTTP/2.0"), 400),
    (b"GET /tm HTTP/0.9\r\n\r\n", 400),
    (b"GET /tm HTTP/1.1\r\nHost: x\r\nX: \x00\r\n\r\n", 400),
    (b"GET /tm HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
    (b"GET /tm HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n", 400),
    (b"GET /tm HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", 400),
)


async def test_http_that_is_not_for_here_is_refused_in_xml(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    for request, status in NOT_HERE:
        async with raw(server) as device:
            device.writer.write(request)
            assert await device.refusal() == status, request[:80]
    assert server.landed() == []
    async with raw(server) as device:
        device.writer.write(SMUGGLED)
        assert (await device.answer())[0] == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_client_that_leaves_within_a_body_is_no_error(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    location = await mirror(server)
    async with raw(server) as device:
        device.writer.write(post(location, b"", "Content-Length: 900", "Expect: 100-continue", length=False))
        assert (await device.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        device.writer.write(b"<Mirror")
        await device.writer.drain()
    await until(lambda: not server.state.access.metrics.connections_open)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_readings_that_48_bits_do_not_hold_are_refused(server: Server) -> None:
    location = await mirror(server)

    def reading(value: str) -> bytes:
        return post(location, readings(0).replace(b"<value>1<", f"<value>{value}<".encode(), 1))

    async with raw(server) as device:
        for value in ("140737488355327", "-140737488355327"):
            device.writer.write(reading(value))
            assert (await device.answer())[0] == 201
        for value in ("140737488355328", "-140737488355328", "9223372036854775808", "9" * 4000, "1e3", "1.0", "0x1"):
            device.writer.write(reading(value))
            assert await device.refusal() == 400, value
    assert len(server.landed()) == 3


async def test_an_event_may_start_and_end_beyond_all_times(server: Server) -> None:
    server.registry.change(server.pki.devices["METER_B"].lfdi, role="operator")
    server.resources.publish([Publication("/dr/1", DemandResponseProgram(mrid="0B" * 16))])
    event = EndDeviceControl(
        mrid="0A" * 16,
        creation_time=0,
        event_status=EventStatus(current_status=0, date_time=0, potentially_superseded=False),
        randomize_start=-3600,
        device_category=0,
        dr_program_mandatory=False,
        load_shift_forward=False,
    )
    async with raw(server, "METER_B") as operator:
        for start in (2**63 - 1, -(2**63)):
            event.interval = DateTimeInterval(duration=2**32 - 1, start=start)
            operator.writer.write(post("/dr/1/edc/1", encode(event)).replace(b"POST", b"PUT", 1))
            assert (await operator.answer())[0] == 204
            operator.writer.write(b"GET /dr/1/edc/1 HTTP/1.1\r\nHost: x\r\n\r\n")
            status, _, body = await operator.answer()
            assert (status, decode(parse(body), EndDeviceControl).interval.start) == (200, start)


def test_made_up_addresses_of_any_length_do_not_fill_the_memory() -> None:
    longest = "/".join(part if part[:1] != "{" else "Z" * 40 for part in max(function_sets.BY_PATH, key=len).split("/"))
    assert function_sets.find(longest) is not None
    known = function_sets._find.cache_info().currsize
    assert function_sets.find(f"/derp/{'x' * 2000}") is None
    assert function_sets._find.cache_info().currsize == known


@pytest.fixture
def own(tmp_path: Path) -> Pki:
    """An authority with a device whose certificate has expired and one whose certificate is revoked."""
    long_ago = Authority.ensure(tmp_path / "pki", now=lambda: dt.datetime.now(dt.UTC) - 300 * DAY)
    expired = long_ago.ensure_device("EXPIRED", profile="operational", period=30 * DAY)
    authority = Authority.ensure(tmp_path / "pki")
    devices = {"EXPIRED": expired, **{name: authority.ensure_device(name) for name in ("METER_A", "REVOKED")}}
    revoke(authority, [devices["REVOKED"].lfdi])
    return Pki(authority, authority.ensure_server(["localhost", "127.0.0.1"]), devices)


@contextlib.asynccontextmanager
async def serving_own(own: Pki, options: ServerOptions) -> AsyncIterator[Server]:
    """A server of `own`, all of whose devices are in the registry: only their certificates tell them apart."""
    registry = Registry(options.operational_url)
    registry.register(replace(device_row(device, 111115), not_after=None) for device in own.devices.values())
    registry.close()
    crl = ensure_crl(own.authority)
    files = {"ca": own.authority.certificate_path, "cert": own.server.certificate, "key": own.server.key, "crl": crl}
    async with serving(replace(options, **files), own) as server:
        yield server


def heard(server: Server, context: ssl.SSLContext | None) -> bytes:
    """What comes back to a request over TLS, or plainly; raises where there is no such connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as plain:
        stream = plain if context is None else context.wrap_socket(plain, server_hostname="localhost")
        with stream:
            stream.sendall(SMUGGLED)
            return stream.recv(1000)


def nobody(own: Pki, ciphers: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(own.authority.certificate_path))
    context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    return context


async def test_nobody_is_heard_without_a_certificate_that_holds(own: Pki, options: ServerOptions, tmp_path: Path) -> None:
    theirs = Authority.ensure(tmp_path / "theirs")
    foreign = Pki(theirs, own.server, {"METER_A": theirs.ensure_device("METER_A")}).client("METER_A")
    foreign.load_verify_locations(own.authority.certificate_path)
    async with serving_own(own, options) as server:
        metrics = server.state.access.metrics
        for reason, context in {
            "no_certificate": nobody(own, "ECDHE-ECDSA-AES128-GCM-SHA256"),
            "unknown_ca": foreign,
            "expired": own.client("EXPIRED"),
            "revoked": own.client("REVOKED"),
            "not_tls": None,
        }.items():
            with pytest.raises((ssl.SSLError, ConnectionError)):
                # An orderly end instead of an error is as good, so long as nothing is said before it.
                raise (
                    ConnectionError if (said := await asyncio.to_thread(heard, server, context)) == b"" else AssertionError(said)
                )
            await until(lambda reason=reason: metrics.handshake_failures[reason])
        assert not metrics.requests
        assert (await asyncio.to_thread(heard, server, own.client("METER_A"))).startswith(b"HTTP/1.1 200 ")
        assert len(metrics.requests) == 1


async def test_older_versions_of_tls_and_other_ciphers_are_refused(server: Server, pki: Pki) -> None:
    ciphers = (
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "aNULL",
    )
    cases = [(f"{name}:@SECLEVEL=0", ssl.TLSVersion.TLSv1_2, "no_shared_cipher") for name in ciphers]
    cases += [("ALL:@SECLEVEL=0", version, "protocol_version") for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)]
    failures = server.state.access.metrics.handshake_failures
    for names, version, reason in cases:
        context = nobody(pki, names, version)
        context.load_cert_chain(pki.devices["METER_A"].certificate, pki.devices["METER_A"].key)
        before = failures[reason]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(heard, server, context)
        await until(lambda reason=reason, before=before: failures[reason] == before + 1)
    assert not server.state.access.metrics.requests
