"""The RPC boundary against servers that misbehave over real sockets."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import socket
from email.utils import format_datetime

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solana.rpc.models import TxOpts
from solders.pubkey import Pubkey
from solders.signature import Signature

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.solana.client import BadRpcUrl, PreflightFailure, RpcPool, RpcRefused, RpcUnavailable

SLOT = 7


def http(status: int, body: str = "", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def result(value: object) -> bytes:
    return http(200, json.dumps({"jsonrpc": "2.0", "id": 0, "result": value}))


def error(code: int, **more: object) -> bytes:
    return http(200, json.dumps({"jsonrpc": "2.0", "id": 0, "error": {"code": code, "message": "no"} | more}))


BEHIND = error(-32005, data={"numSlotsBehind": 42})
GOOD = result(SLOT)
HANG = b"hang"
BAD = {
    "too many requests": http(429),
    "overloaded": http(503, "busy"),
    "gateway timeout": http(504),
    "node behind": BEHIND,
    "node behind, no more said": error(-32005),
    "too many requests, said in JSON": error(429),
    "an unknown error code": error(-32429),
    "internal error": error(-32603),
    "context slot not reached": error(-32016, data={"contextSlot": 1}),
    "a proxy's page": http(200, "<html>oops</html>"),
    "nothing": http(200),
    "no JSON-RPC": http(200, "{}"),
    "half a JSON": http(200, '{"jsonrpc":"2.0","id":0,"resu'),
    "a result of another kind": result("seven"),
    "no result": result(None),
    "a body that breaks off": http(200, "x" * 50)[:-20],
    "no answer": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "silence": HANG,
}


class Endpoint:
    """An HTTP server that gives `answers` in turn, the last one for ever, and ends the connection after each."""

    def __init__(self, *answers: bytes):
        self.answers, self.asked = answers, 0
        self.url = ""

    async def __aenter__(self) -> Endpoint:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._gone = asyncio.Event()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gone.set()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if answer == HANG:
            await self._gone.wait()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()


def pool(*urls: str, patience_s: float = 20.0, timeout_s: float = 0.5) -> RpcPool:
    return RpcPool(urls, timeout_s=timeout_s, patience_s=patience_s)


@pytest.mark.parametrize("answer", BAD.values(), ids=BAD)
async def test_what_says_nothing_goes_to_the_next_endpoint(answer):
    async with Endpoint(answer) as bad, Endpoint(GOOD) as good, pool(bad.url, good.url) as rpc:
        with pytest.raises(RpcUnavailable, match=bad.url):
            await rpc.call_once("get_slot")
        assert (await rpc.call_once("get_slot")).value == SLOT
        assert (await rpc.call("get_slot")).value == SLOT
        assert (bad.asked, good.asked) == (1, 2)


async def test_a_single_endpoint_is_asked_again_until_it_answers():
    async with Endpoint(http(429), BEHIND, http(200, "{"), GOOD) as one, pool(one.url) as rpc:
        assert (await rpc.call("get_slot")).value == SLOT
        assert one.asked == 4


async def test_nobody_listens_at_the_first():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    async with Endpoint(GOOD) as good, pool(nobody, good.url) as rpc:
        with pytest.raises(RpcUnavailable, match="ConnectError"):
            await rpc.call_once("get_slot")
        # What is called once goes to the endpoint that may answer, too.
        assert (await rpc.call_once("get_slot")).value == SLOT


@pytest.fixture
def held_clock():
    now = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
    clock.set_clock(lambda: now)
    yield now
    clock.set_clock(clock.system_clock)


def dated(moment: dt.datetime) -> str:
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_longer_than_the_patience_is_not_waited_for(held_clock, form, status):
    after = "30" if form == "seconds" else dated(held_clock + dt.timedelta(seconds=30))
    async with Endpoint(http(status, Retry_After=after), GOOD) as one, pool(one.url, patience_s=5) as rpc:
        with pytest.raises(RpcUnavailable, match=str(status)):
            await rpc.call("get_slot")
        assert one.asked == 1


@pytest.mark.parametrize("form", ["past", "none", "words"])
async def test_a_pause_that_is_over_or_unreadable_is_none(held_clock, form):
    after = {"past": dated(held_clock - dt.timedelta(seconds=30)), "none": "0", "words": "a while"}[form]
    async with Endpoint(http(429, Retry_After=after), GOOD) as one, pool(one.url, patience_s=5) as rpc:
        assert (await rpc.call("get_slot")).value == SLOT
        assert one.asked == 2


async def test_a_pause_is_for_its_endpoint_alone():
    async with (
        Endpoint(http(429, Retry_After="30")) as busy,
        Endpoint(http(503), GOOD) as other,
        pool(busy.url, other.url) as rpc,
    ):
        for _ in range(3):
            assert (await rpc.call("get_slot")).value == SLOT
        assert (busy.asked, other.asked) == (1, 4)


async def test_of_two_pauses_the_shorter_is_waited_for():
    async with Endpoint(http(429, Retry_After="50")) as long, Endpoint(http(429, Retry_After="0.2"), GOOD) as short:
        async with pool(long.url, short.url) as rpc:
            assert (await rpc.call("get_slot")).value == SLOT
        assert (long.asked, short.asked) == (1, 2)


@pytest.mark.parametrize("status", [301, 401, 402, 403, 404, 410])
async def test_an_endpoint_that_turns_clients_away_is_left_alone(status):
    async with Endpoint(http(status)) as closed, Endpoint(GOOD) as good, pool(closed.url, good.url) as rpc:
        for _ in range(3):
            assert (await rpc.call("get_slot")).value == SLOT
        assert (closed.asked, good.asked) == (1, 3)


async def test_where_all_turn_clients_away_it_is_said_at_once():
    async with Endpoint(http(403)) as first, Endpoint(http(401)) as second, pool(first.url, second.url) as rpc:
        with pytest.raises(RpcRefused, match=f"{second.url}: HTTP 401"):
            await rpc.call("get_slot")
        assert (first.asked, second.asked) == (1, 1)


@pytest.mark.parametrize(
    "answer", [http(400), http(413), error(-32601), error(-32602), error(-32010)], ids=["400", "413", "method", "params", "index"]
)
async def test_what_is_wrong_with_the_question_is_not_asked_again(answer):
    async with Endpoint(answer) as one, Endpoint(GOOD) as other, pool(one.url, other.url) as rpc:
        with pytest.raises(RpcRefused, match=one.url):
            await rpc.call("get_slot")
        assert (one.asked, other.asked) == (1, 0)


async def test_a_failed_preflight_is_said_with_its_error():
    data = {
        "err": {"InstructionError": [2, {"Custom": 6001}]},
        "logs": [],
        "accounts": None,
        "unitsConsumed": 0,
        "returnData": None,
    }
    async with Endpoint(error(-32002, data=data)) as one, pool(one.url) as rpc:
        with pytest.raises(PreflightFailure, match=r'\{"InstructionError":\[2,\{"Custom":6001\}\]\}'):
            await rpc.call("send_raw_transaction", b"x", TxOpts(skip_preflight=False))
        assert one.asked == 1


@pytest.mark.parametrize("url", ["", "localhost:8899", "http://", "ftp://127.0.0.1"])
def test_what_is_no_url_is_said_at_once(url):
    with pytest.raises(BadRpcUrl, match="no URL of an RPC endpoint"):
        RpcPool([url])
    with pytest.raises(ValueError, match="at least one"):
        RpcPool([])


KEY, SIGNATURE = Pubkey.default(), Signature.default()
CALLS: list[tuple[str, tuple]] = [
    ("get_slot", ()),
    ("get_balance", (KEY,)),
    ("get_latest_blockhash", ()),
    ("get_account_info", (KEY,)),
    ("get_multiple_accounts", ([KEY],)),
    ("get_signature_statuses", ([SIGNATURE],)),
    ("get_transaction", (SIGNATURE,)),
    ("send_raw_transaction", (b"x",)),
]
WORDS = ("context", "value", "slot", "err", "code", "message", "data", "blockhash", "lastValidBlockHeight", "InstructionError")
LEAVES = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.sampled_from(["", "x", str(KEY), "AccountNotFound"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4), max_leaves=8
)
CODES = st.sampled_from([-32001, -32002, -32003, -32004, -32005, -32007, -32009, -32014, -32015, -32016, -32600, 429, 1])
ERRORS = st.fixed_dictionaries({"code": CODES, "message": st.just("no")}, optional={"data": VALUES})
BODIES = st.one_of(
    VALUES,
    st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": st.just(0), "result": VALUES}),
    st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": st.just(0), "error": ERRORS | VALUES}),
)


class Fixed(httpx2.AsyncBaseTransport):
    """Gives the same body to every request."""

    body = b""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=self.body)


@pytest.fixture(scope="module")
def ask():
    rpc, transport = RpcPool(["http://127.0.0.1:1"]), Fixed()
    rpc._clients[0]._provider.session = httpx2.AsyncClient(transport=transport)

    def one(body: bytes, method: str, arguments: tuple) -> object:
        transport.body = body
        return runner.run(rpc.call_once(method, *arguments))

    with asyncio.Runner() as runner:
        yield one


@settings(max_examples=300, deadline=None)
@given(call=st.sampled_from(CALLS), body=BODIES.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=20))
def test_no_answer_whatever_gets_past_the_boundary(ask, call, body):
    try:
        response = ask(body, *call)
    except (RpcUnavailable, RpcRefused, PreflightFailure):
        return
    assert hasattr(response, "value")
