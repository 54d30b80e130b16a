from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from ingest_harness import Pki, Server, serving

from ieee2030_5.pki import Authority
from ieee2030_5.tls import client_context
from ieee2030_5.xml import MEDIA_TYPE, parse
from ingest_server.options import ServerOptions

LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
GET = b"GET /tm HTTP/1.1\r\nHost: x\r\n\r\n"


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def run(new_loop: Callable[[], asyncio.AbstractEventLoop], work: Callable[[], Awaitable[Any]]) -> Any:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work())


def sockets() -> int:
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += str(descriptor.readlink()).startswith("socket:")
    return found


async def answer(server: Server, context: ssl.SSLContext, request: bytes = GET) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower case) and body of one raw request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
    try:
        writer.write(request)
        return await read_answer(reader)
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


def connect(server: Server, context: ssl.SSLContext) -> None:
    """A handshake by a client that says why it fails; asyncio's only closes the connection."""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as stream,
    ):
        if not stream.recv(1):
            raise ConnectionError("the server closed the connection")


def bare(pki: Pki, *, ciphers: str = "ECDHE-ECDSA-AES128-GCM-SHA256") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pki.authority.certificate_path))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    return context


@LOOPS
def test_every_failed_handshake_is_named_counted_and_recorded(
    new_loop: Any, options: ServerOptions, pki: Pki, tmp_path: Path
) -> None:
    theirs = Authority.ensure(tmp_path / "theirs")
    stranger = theirs.ensure_device("METER_A")
    newer = pki.client("METER_A")
    newer.maximum_version = newer.minimum_version = ssl.TLSVersion.TLSv1_3
    contexts = {
        "no_certificate": bare(pki),
        "unknown_ca": client_context(pki.authority.certificate_path, stranger.certificate, stranger.key),
        "no_shared_cipher": bare(pki, ciphers="ECDHE-ECDSA-AES256-GCM-SHA384"),
        "protocol_version": newer,
        "refused_by_client": client_context(theirs.certificate_path, *_files(pki, "METER_A")),
    }

    async def work() -> None:
        async with serving(replace(options, handshake_timeout_s=0.3), pki) as server:
            failures = server.state.access.metrics.handshake_failures
            before = sockets()
            for reason, context in contexts.items():
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await asyncio.to_thread(connect, server, context)
                await until(lambda reason=reason: failures[reason] == 1)
            for reason, sent in (("not_tls", GET), ("timeout", b""), ("timeout", b"\x16\x03\x01\x02\x00\x01")):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(sent)
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                writer.close()
                await until(lambda reason=reason: failures[reason])
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.close()
            await until(lambda: failures["connection_lost"] + failures["unexpected_eof"])
            await until(lambda: failures["timeout"] == 2)
            assert not server.state.access.metrics.connections_open
            status, _, _ = await answer(server, pki.client("METER_A"))
            assert status == 200
            await until(lambda: sockets() <= before)
            await until(lambda: len({e.kind for e in server.registry.security_events()}) >= 8)
            kinds = {e.kind for e in server.registry.security_events()}
            assert {f"tls_{reason}" for reason in (*contexts, "not_tls", "timeout")} <= kinds

    run(new_loop, work)


def _files(pki: Pki, name: str) -> tuple[Path, Path]:
    return pki.devices[name].certificate, pki.devices[name].key


@LOOPS
def test_silent_peers_do_not_keep_devices_out(new_loop: Any, options: ServerOptions, pki: Pki, monkeypatch: Any) -> None:
    monkeypatch.setattr("ingest_server.acceptor._GRACE_S", 0.05)

    async def work() -> None:
        async with serving(replace(options, max_handshakes=4, handshake_timeout_s=600), pki) as server:
            metrics = server.state.access.metrics
            silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(12)]
            async with asyncio.timeout(20):
                status, _, _ = await answer(server, pki.client("METER_A"))
            assert status == 200
            assert metrics.handshakes_open <= 4
            # Each that was given up for another; the last ones hold their places in peace.
            assert metrics.handshake_failures["timeout"] >= 9
            for _, writer in silent:
                writer.close()

    run(new_loop, work)


@LOOPS
def test_a_storm_of_connections_settles(new_loop: Any, options: ServerOptions, pki: Pki) -> None:
    async def work() -> None:
        async with serving(replace(options, max_handshakes=3), pki) as server:
            context = pki.client("METER_A")
            seen: list[int] = []

            async def connect() -> int:
                found = (await answer(server, context))[0]
                seen.append(server.state.access.metrics.handshakes_open)
                return found

            assert set(await asyncio.gather(*(connect() for _ in range(60)))) == {200}
            assert max(seen) <= 3
            await until(lambda: server.state.access.metrics.connections_open == 0)
            assert not server.state.access.metrics.handshake_failures

    run(new_loop, work)


@LOOPS
def test_connections_over_the_bounds_are_told_so(new_loop: Any, options: ServerOptions, pki: Pki) -> None:
    async def work() -> None:
        async with serving(replace(options, max_connections=3, max_connections_per_device=2), pki) as server:

            async def hold(name: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                return await asyncio.open_connection("127.0.0.1", server.port, ssl=pki.client(name))

            held = [await hold("METER_A"), await hold("METER_A")]
            metrics = server.state.access.metrics
            await until(lambda: metrics.connections_open == 2)
            status, headers, body = await answer(server, pki.client("METER_A"))
            assert (status, headers["retry-after"], headers["content-type"]) == (429, "60", MEDIA_TYPE)
            assert parse(body).findtext("{*}reasonCode") == "2"
            held.append(await hold("METER_B"))
            await until(lambda: metrics.connections_open == 3)
            assert (await answer(server, pki.client("METER_B")))[0] == 503
            assert metrics.connections_refused == {"device": 1, "server_full": 1}
            # A place that is given back is there for the next.
            held[0][1].close()
            await until(lambda: metrics.connections_open == 2)
            assert (await answer(server, pki.client("METER_A")))[0] == 200
            await until(lambda: [e.kind for e in server.registry.security_events()] == ["connection_limit"])
            for _, writer in held:
                writer.close()

    run(new_loop, work)


async def test_bytes_that_are_not_http_get_an_error_document(server: Server, pki: Pki) -> None:
    for nonsense in (
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST /mup HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"\0\1\2\r\n\r\n",
    ):
        status, headers, body = await answer(server, pki.client("METER_A"), nonsense)
        assert (status, headers["content-type"], headers["connection"]) == (400, MEDIA_TYPE, "close")
        assert parse(body).findtext("{*}reasonCode") == "0"
    assert server.state.access.metrics.malformed_requests == 3


@pytest.mark.parametrize("tls13", [False, True])
async def test_a_resumed_session_is_the_same_device(options: ServerOptions, pki: Pki, tls13: bool) -> None:
    """Session tickets spare a device the key operations; its certificate comes out of the ticket."""
    async with serving(replace(options, tls13=tls13), pki) as server:

        def twice() -> list[bool]:
            context = pki.client("METER_A")
            if tls13:
                context.maximum_version = context.minimum_version = ssl.TLSVersion.TLSv1_3
            session, reused = None, []
            for _ in range(2):
                with (
                    socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw,
                    context.wrap_socket(raw, server_hostname="localhost", session=session) as stream,
                ):
                    stream.sendall(GET)
                    assert b" 200 " in stream.recv(4096)
                    session, reused = stream.session, [*reused, bool(stream.session_reused)]
            return reused

        assert await asyncio.to_thread(twice) == [False, True]


async def test_stopping_gives_up_handshakes_and_keeps_connections(options: ServerOptions, pki: Pki) -> None:
    async with serving(options, pki) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=pki.client("METER_A"))
        silent_reader, silent = await asyncio.open_connection("127.0.0.1", server.port)
        await until(lambda: server.state.access.metrics.handshakes_open == 1)
        await server.front.stop()
        with contextlib.suppress(ConnectionError):
            assert await silent_reader.read() == b""
        silent.close()
        writer.write(GET)
        assert (await read_answer(reader))[0] == 200
        writer.close()
        with pytest.raises(OSError, match=r"(?i)connect"):
            await asyncio.open_connection("127.0.0.1", server.port)
        assert not server.state.access.metrics.handshake_failures
