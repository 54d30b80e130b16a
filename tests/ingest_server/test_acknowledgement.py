from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime

import pytest
from ingest_harness import SEP, Server, mup, readings


async def answers(server: Server, requests: bytes) -> tuple[list[bytes], bool]:
    """Send requests on one connection; return the heads that come back, and whether the server closed after them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=server.pki.client("METER_A"))
    writer.write(requests)
    heads = [await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10) for _ in range(requests.count(b"POST "))]
    try:
        closed = await asyncio.wait_for(reader.read(), 0.3) == b""
    except TimeoutError:
        closed = False
    writer.close()
    return heads, closed


async def post(server: Server, version: str, extra: str = "") -> bytes:
    lfdi = server.pki.devices["METER_A"].lfdi
    async with server.session().post("/mup", data=mup(lfdi), headers=SEP) as response:
        location = response.headers["Location"]
    body = readings(0)
    head = (
        f"POST {location} {version}\r\nHost: x\r\nContent-Type: application/sep+xml\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    )
    return head.encode() + body


def fields(head: bytes) -> dict[str, str]:
    lines = head.decode("ascii").removesuffix("\r\n\r\n").split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.parametrize(
    ("version", "extra", "closes"),
    [("HTTP/1.1", "", False), ("HTTP/1.1", "Connection: close\r\n", True), ("HTTP/1.0", "", True)],
)
async def test_headers_are_the_same_whichever_way_it_is_written(server: Server, version: str, extra: str, closes: bool) -> None:
    [head], closed = await answers(server, await post(server, version, extra))
    assert closed == closes
    assert head.split(b"\r\n")[0].endswith(b" 201 Created")
    own = fields(head)
    assert parsedate_to_datetime(own.pop("Date")).tzinfo is not None
    assert own.pop("Location").startswith("/upt/")
    connection = {"Connection": "close"} if closes else {}
    assert own == {"Content-Type": "application/sep+xml", "Content-Length": "0", "Server": "GridTokenX"} | connection
    assert len(server.landed()) == 2


async def test_answers_to_a_pipeline_are_in_order_up_to_the_last(server: Server) -> None:
    one = await post(server, "HTTP/1.1")
    last = await post(server, "HTTP/1.1", "Connection: close\r\n")
    heads, closed = await answers(server, one + one.replace(b"/mup/", b"/mup/x") + one + last)
    # The refusal in between has a body, which is at the head of what follows it.
    assert [head.rpartition(b"HTTP/1.1 ")[2][:3] for head in heads] == [b"201", b"404", b"201", b"201"]
    assert closed
