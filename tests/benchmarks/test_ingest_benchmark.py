from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from gridtokenx_pipeline.benchmarks import ingest
from gridtokenx_pipeline.benchmarks.ingest_load import Load, Target, drive, reading_document
from gridtokenx_pipeline.benchmarks.servers import serving
from ieee2030_5.pki import Authority
from ieee2030_5.resources import MirrorMeterReading
from ieee2030_5.tls import server_context
from ieee2030_5.xml import decode, parse


def test_a_tiny_run_has_every_figure_and_loses_nothing() -> None:
    result = ingest.measure(seconds=0.2, connections=3, rounds=1)
    assert set(result) == {
        "connections", "rounds", "body_bytes", "posts_per_s", "read_only_posts_per_s", "ratio", "acknowledged", "landed",
    }  # fmt: skip
    assert (result["connections"], result["rounds"]) == (3, 1)
    # Each connection posts at least once in the warm-up and once in the round.
    assert result["landed"] >= result["acknowledged"] >= 6
    assert result["ratio"] == pytest.approx(result["posts_per_s"] / result["read_only_posts_per_s"], rel=0.05)


def test_documents_are_a_kilobyte_valid_and_differ_in_their_start() -> None:
    bodies = [reading_document("AB" * 20, interval) for interval in (0, 1, 40_000)]
    assert {len(body) for body in bodies} == {len(bodies[0])}
    assert 900 < len(bodies[0]) < 1100
    starts = [decode(parse(body), MirrorMeterReading).reading.time_period.start for body in bodies]
    assert [start - starts[0] for start in starts] == [0, 15, 600_000]


class Canned:
    """A TLS server that answers every request with the same bytes, in two pieces."""

    def __init__(self, context: ssl.SSLContext, answer: bytes) -> None:
        self.context, self.answer = context, answer
        self.requests: list[bytes] = []

    async def __aenter__(self) -> Canned:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                self.requests.append(await reader.readexactly(length))
                writer.write(self.answer[:20])
                await writer.drain()
                writer.write(self.answer[20:])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.ensure(tmp_path_factory.mktemp("bench-pki"))


def load(authority: Authority, port: int) -> Load:
    meter = authority.ensure_device("BENCH")
    target = Target("/mup/1", meter.lfdi, str(meter.certificate), str(meter.key))
    return Load([port], str(authority.certificate_path), [target], 0.1, 2)


def context(authority: Authority) -> ssl.SSLContext:
    server = authority.ensure_server(["localhost"])
    return server_context(authority.certificate_path, server.certificate, server.key)


async def test_the_client_counts_acknowledged_posts_only(authority: Authority) -> None:
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nServer: canned\r\n\r\n"
    async with Canned(context(authority), answer) as server:
        outcome = await drive(load(authority, server.port))
    assert outcome.acknowledged == [len(server.requests)]
    assert len(outcome.posts_per_s[0]) == 2
    starts = [decode(parse(body), MirrorMeterReading).reading.time_period.start for body in server.requests]
    assert len(set(starts)) == len(starts)


@pytest.mark.parametrize("status", [b"503 Service Unavailable", b"404 Not Found", b"200 OK"])
async def test_anything_but_201_fails_the_run(authority: Authority, status: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"
    async with Canned(context(authority), answer) as server:
        with pytest.raises(RuntimeError, match="unexpected answer"):
            await drive(load(authority, server.port))


def test_a_server_that_cannot_start_is_named(tmp_path: Path) -> None:
    options = ingest.ServerOptions(
        host="127.0.0.1", port=0, workers=1, ca=tmp_path / "no.pem", cert=tmp_path / "no.pem", key=tmp_path / "no.key",
        landing_dir=tmp_path / "landing", operational_url=f"sqlite:///{tmp_path / 'o.sqlite'}",
    )  # fmt: skip
    with (
        pytest.raises(RuntimeError, match=r"no\.pem is not there"),
        serving("ingest_server", ["--options", "-"], options, tmp_path),
    ):
        pass
