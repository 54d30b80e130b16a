from __future__ import annotations

import asyncio
import datetime as dt
import json
import ssl
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingest_harness import Pki, landed

from ingest_server.gateway.auth import Tokens
from ingest_server.gateway.documents import DLMS_PATH, EXPORT_OBIS, IMPORT_OBIS, NO_DEVICE, READINGS_PATH, BadDocument, read_body
from ingest_server.gateway.files import IMPORT_WORKER, NotImported, check_file, import_file, landed_bodies
from ingest_server.gateway.listener import Gateway, gateway_tokens, start_gateway
from ingest_server.gateway.signature import signed_text
from ingest_server.landing.sqlite import SqliteLandingReader, SqliteLandingStore
from ingest_server.landing.store import LandingUnavailable
from ingest_server.limits import Limits
from ingest_server.operational.gateway import GatewayTables
from ingest_server.operational.registry import Registry
from ingest_server.options import ServerOptions
from ingest_server.ports import listening_socket
from ingest_server.state import utc_now

HOUR = dt.timedelta(hours=1)
AUDIENCE = "gridtokenx-gateway"
SECRET = b"s3cr3t-of-the-gateway-" + b"x" * 32


def reading(meter: str = "METER_A", **fields: object) -> dict:
    return {"meter_id": meter, "timestamp": "2026-01-01T00:00:15Z", "energy_generated": 0.1, "energy_consumed": 0.05, **fields}


def dlms(meter: str = "METER_A", **payload: object) -> dict:
    values = {"timestamp": "2026-01-01T00:00:15.250+00:00", IMPORT_OBIS: 40.5, EXPORT_OBIS: 0.0, "kwh": 0.0405, **payload}
    return {"protocol": "dlms", "device_id": meter, "payload": values}


@dataclass
class Running:
    """A gateway in this process, over real TLS."""

    gateway: Gateway
    session: aiohttp.ClientSession
    tables: GatewayTables
    registry: Registry
    store: SqliteLandingStore
    tokens: Tokens
    options: ServerOptions

    def token(self, *meters: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens.issue(meters or ['METER_A'], now=utc_now(), lifetime=HOUR)}"}

    def key(self, *meters: str) -> dict[str, str]:
        _, key = self.tables.issue_key(meters or None, by="test", now=utc_now(), lifetime=HOUR)
        return {"X-GridTokenX-API-Key": key}

    async def post(self, content: object, headers: dict[str, str] | None = None, path: str = READINGS_PATH) -> tuple[int, dict]:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"Content-Type": "application/json", **(self.token() if headers is None else headers)}
        async with self.session.post(path, data=body, headers=headers) as response:
            assert response.content_type == "application/json"
            return response.status, {**await response.json(), "headers": dict(response.headers)}

    def landed(self) -> list:
        return landed(self.options.landing_dir)

    def events(self) -> list[str]:
        return [event.kind for event in self.registry.security_events()]


@pytest.fixture
def gateway_options(options: ServerOptions, tmp_path: Path) -> ServerOptions:
    secret = tmp_path / "gateway.secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    return replace(options, gateway_port=0, gateway_token_key=secret)


async def started(options: ServerOptions, pki: Pki, requests_per_minute: int = 0) -> Running:
    tables, registry = GatewayTables(options.operational_url), Registry(options.operational_url)
    tables.create_all()
    store = SqliteLandingStore(options.landing_dir)
    sock = listening_socket("127.0.0.1", 0)
    port = sock.getsockname()[1]
    limits = Limits(requests_per_minute=requests_per_minute, failures=3, cool_down_s=60)
    gateway = await start_gateway(options, sock, store=store, registry=registry, limits=limits, now=utc_now)
    context = ssl.create_default_context(cafile=str(pki.authority.certificate_path))
    session = aiohttp.ClientSession(f"https://127.0.0.1:{port}", connector=aiohttp.TCPConnector(ssl=context))
    return Running(gateway, session, tables, registry, store, gateway_tokens(options), options)


async def stopped(running: Running) -> None:
    await running.session.close()
    await running.gateway.drain(2)
    await running.gateway.close()
    running.store.close()
    running.tables.close()
    running.registry.close()


@pytest.fixture
async def running(gateway_options: ServerOptions, pki: Pki) -> AsyncIterator[Running]:
    found = await started(gateway_options, pki)
    yield found
    await stopped(found)


async def test_a_body_is_landed_once_as_received_before_it_is_acknowledged(running: Running):
    body = json.dumps([reading(), reading("METER_B", energy_consumed=1)], indent=1).encode()
    status, answer = await running.post(body, running.token("METER_A", "METER_B"))
    assert status == 200
    (message,) = running.landed()
    assert (message.body, message.source, message.device_lfdi, message.path) == (body, "gateway", NO_DEVICE, READINGS_PATH)
    assert (message.meter_id, message.zone) == ("", "stanford")
    assert answer["id"] == message.message_id
    assert [(r["index"], r["meter_id"], r["status"]) for r in answer["results"]] == [
        (0, "METER_A", "accepted"),
        (1, "METER_B", "accepted"),
    ]
    assert len({r["id"] for r in answer["results"]}) == 2
    assert (await running.post({"readings": [reading()]}))[0] == 200
    assert (await running.post(reading()))[1]["accepted"] == 1
    assert [m.meter_id for m in running.landed()] == ["", "METER_A", "METER_A"]
    assert (await running.post(dlms(), path=DLMS_PATH))[0] == 202


async def test_nothing_is_acknowledged_that_the_store_did_not_keep(running: Running, monkeypatch: pytest.MonkeyPatch):
    async def failing(self: object, message: object) -> str:
        raise LandingUnavailable("disk full")

    monkeypatch.setattr(SqliteLandingStore, "append", failing)
    status, answer = await running.post(reading())
    assert (status, answer["error"], answer["headers"]["Retry-After"]) == (503, "try_later", "5")


@pytest.mark.parametrize(
    ("content", "path", "status", "error", "says"),
    [
        (b"{", READINGS_PATH, 400, "invalid_json", "not JSON"),
        (b'{"meter_id": "METER_A", "meter_id": "METER_B"}', READINGS_PATH, 400, "invalid_json", "twice"),
        (b"[" * 100_000, READINGS_PATH, 400, "invalid_json", "deep"),
        ([], READINGS_PATH, 400, "invalid_json", "no readings"),
        ([reading()] * 101, READINGS_PATH, 413, "batch_too_large", "101 readings, at most 100"),
        ([reading(), reading(timestamp="2026-01-01T00:00:15")], READINGS_PATH, 400, "invalid_reading", "reading 1: timestamp"),
        (reading(energy_consumed="0.1"), READINGS_PATH, 400, "invalid_reading", "reading 0: energy_consumed"),
        (reading(energy_consumed=True), READINGS_PATH, 400, "invalid_reading", "energy_consumed"),
        (b'{"meter_id":"METER_A","timestamp":"2026-01-01T00:00:15Z","energy_consumed":1e999999999}', READINGS_PATH, 400, "invalid_reading", "bounds"),
        (b'{"meter_id":"METER_A","timestamp":"2026-01-01T00:00:15Z","energy_consumed":NaN}', READINGS_PATH, 400, "invalid_json", "NaN"),
        (reading(interval_seconds=0), READINGS_PATH, 400, "invalid_reading", "interval_seconds"),
        (reading("../etc"), READINGS_PATH, 400, "invalid_reading", "meter_id"),
        ({**dlms(), "protocol": "dlms-enc"}, DLMS_PATH, 400, "encrypted_payload", "meter's key"),
        ({**dlms(), "protocol": "ocpp"}, DLMS_PATH, 400, "invalid_reading", "expected dlms"),
        (dlms(device_id="METER_B"), DLMS_PATH, 400, "invalid_reading", "envelope"),
        (reading(), DLMS_PATH, 400, "invalid_reading", "shape readings"),
    ],
)  # fmt: skip
async def test_a_bad_body_is_refused_by_its_index_and_nothing_is_landed(running: Running, content, path, status, error, says):
    found, answer = await running.post(content, running.token("METER_A"), path)
    assert (found, answer["error"]) == (status, error)
    assert says in answer["detail"]
    assert running.landed() == []


async def test_media_types_sizes_methods_and_paths(running: Running):
    headers = running.token()
    assert (await running.post(reading(), {**headers, "Content-Type": "application/xml"}))[0] == 415
    assert (await running.post(reading(), {**headers, "Content-Encoding": "gzip"}))[1]["error"] in (
        "content_coding",
        "invalid_body",
    )
    assert (await running.post(b" " * (running.options.max_body_bytes + 1), headers))[1]["error"] == "body_too_large"
    async with running.session.get(READINGS_PATH, headers=headers) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        assert (await response.json())["error"] == "method_not_allowed"
    assert (await running.post(reading(), headers, "/dcap"))[0] == 404


def forged(**claims: object) -> str:
    return jwt.encode({"sub": "METER_A", "aud": AUDIENCE, "exp": utc_now() + HOUR, **claims}, SECRET, algorithm="HS256")


def without(*names: str) -> str:
    claims = {"sub": "METER_A", "aud": AUDIENCE, "exp": utc_now() + HOUR}
    return jwt.encode({k: v for k, v in claims.items() if k not in names}, SECRET, algorithm="HS256")


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (
            lambda: jwt.encode({"sub": "METER_A", "aud": AUDIENCE, "exp": utc_now() + HOUR}, b"y" * 40, algorithm="HS256"),
            "invalid_token",
        ),
        (
            lambda: jwt.encode({"sub": "METER_A", "aud": AUDIENCE, "exp": utc_now() + HOUR}, None, algorithm="none"),
            "invalid_token",
        ),
        (
            lambda: jwt.encode({"sub": "METER_A", "aud": AUDIENCE, "exp": utc_now() + HOUR}, SECRET * 2, algorithm="HS512"),
            "invalid_token",
        ),
        (lambda: forged(exp=utc_now() - HOUR), "token_expired"),
        (lambda: forged(aud="elsewhere"), "invalid_token"),
        (lambda: forged(sub="*"), "invalid_token"),
        (lambda: forged(sub="*", meters="METER_A"), "invalid_token"),
        (lambda: without("exp"), "invalid_token"),
        (lambda: without("aud"), "invalid_token"),
        (lambda: without("sub"), "invalid_token"),
        (lambda: "not.a.token", "invalid_token"),
    ],
)
async def test_tokens_that_do_not_hold(running: Running, make, error):
    status, answer = await running.post(reading(), {"Authorization": f"Bearer {make()}"})
    assert (status, answer["error"], answer["headers"]["WWW-Authenticate"]) == (401, error, "Bearer")
    assert running.landed() == []
    assert running.events() == [f"gateway_{error}"]


async def test_an_operators_ec_key_signs_tokens_and_nothing_else_is_taken(
    gateway_options: ServerOptions, pki: Pki, tmp_path: Path
):
    private = ec.generate_private_key(ec.SECP256R1())
    encoding, none = serialization.Encoding.PEM, serialization.NoEncryption()
    key = tmp_path / "operator.key"
    key.write_bytes(private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, none))
    key.chmod(0o644)
    with pytest.raises(PermissionError):
        Tokens.from_file(key, "ES256", AUDIENCE)
    key.chmod(0o600)
    public = tmp_path / "operator.pub"
    public_pem = private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    public.write_bytes(public_pem)
    found = await started(replace(gateway_options, gateway_algorithm="ES256", gateway_token_key=public), pki)
    try:
        good = Tokens.from_file(key, "ES256", AUDIENCE).issue(["METER_A"], now=utc_now(), lifetime=HOUR)
        assert (await found.post(reading(), {"Authorization": f"Bearer {good}"}))[0] == 200
        with pytest.raises(ValueError, match="cannot sign"):
            found.tokens.issue(["METER_A"], now=utc_now(), lifetime=HOUR)
        assert (await found.post(reading(), {"Authorization": f"Bearer {forged()}"}))[0] == 401
    finally:
        await stopped(found)


async def test_api_keys_hold_for_their_meters_until_revoked_or_expired(running: Running):
    mine = running.key("METER_A")
    assert (await running.post(reading(), mine))[0] == 200
    assert (await running.post(reading(), {"X-API-KEY": next(iter(mine.values()))}))[0] == 200
    status, answer = await running.post([reading(), reading("METER_B")], mine)
    assert (status, answer["error"]) == (403, "not_your_meter")
    assert "reading 1: meter METER_B" in answer["detail"]
    assert (await running.post(reading("METER_B"), running.key()))[0] == 200
    key_id = mine["X-GridTokenX-API-Key"].partition(".")[0]
    running.tables.revoke_key(key_id, utc_now())
    assert (await running.post(reading(), mine))[1]["error"] == "key_revoked"
    _, old = running.tables.issue_key(["METER_A"], by="test", now=utc_now() - 2 * HOUR, lifetime=HOUR)
    assert (await running.post(reading(), {"X-API-KEY": old}))[1]["error"] == "key_expired"
    assert (await running.post(reading(), {}))[1]["error"] == "credentials_required"
    assert mine["X-GridTokenX-API-Key"].partition(".")[2] not in (running.tables.key(key_id) or key_id).secret_sha256


async def test_both_credentials_where_both_are_required(gateway_options: ServerOptions, pki: Pki):
    found = await started(replace(gateway_options, gateway_require="both"), pki)
    try:
        assert (await found.post(reading(), found.token()))[1]["error"] == "key_required"
        assert (await found.post(reading(), found.key()))[1]["error"] == "token_required"
        assert (await found.post(reading(), {**found.token(), **found.key("METER_A")}))[0] == 200
        status, answer = await found.post(reading("METER_B"), {**found.token("METER_B"), **found.key("METER_A")})
        assert (status, answer["error"]) == (403, "not_your_meter")
    finally:
        await stopped(found)


async def test_three_failures_cool_down_that_credential_alone(running: Running):
    key = running.key("METER_A")
    wrong = {"X-API-KEY": key["X-GridTokenX-API-Key"][:-1] + "~"}
    assert [(await running.post(reading(), wrong))[0] for _ in range(4)] == [401, 401, 401, 429]
    status, answer = await running.post(reading(), key)
    assert (status, answer["error"]) == (429, "cool_down")
    assert 1 <= int(answer["headers"]["Retry-After"]) <= 60
    assert (await running.post(reading(), running.key("METER_A")))[0] == 200
    assert running.events() == ["gateway_invalid_key", "gateway_cool_down"]


async def test_a_meter_that_posts_too_often_waits(gateway_options: ServerOptions, pki: Pki):
    found = await started(gateway_options, pki, requests_per_minute=3)
    try:
        both = found.token("METER_A", "METER_B")
        assert [(await found.post(reading(), both))[0] for _ in range(4)] == [200, 200, 200, 429]
        status, answer = await found.post(reading(), both)
        assert (status, answer["error"]) == (429, "rate_limit")
        assert "METER_A" in answer["detail"]
        assert int(answer["headers"]["Retry-After"]) >= 1
        assert (await found.post(reading("METER_B"), both))[0] == 200
        assert len(found.landed()) == 4
    finally:
        await stopped(found)


async def test_unknown_suspended_and_migrated_meters(running: Running, pki: Pki):
    assert (await running.post(reading("METER_Z"), running.key()))[1]["error"] == "unknown_meter"
    running.tables.set_protocol("METER_A", "both", by="test", now=utc_now())
    assert (await running.post(reading()))[0] == 200
    assert running.tables.set_protocol("METER_A", "sep2", by="eve", now=utc_now(), note="firmware")
    assert not running.tables.set_protocol("METER_A", "sep2", by="eve", now=utc_now())
    status, answer = await running.post(reading())
    assert (status, answer["error"]) == (409, "migrated")
    assert "IEEE 2030.5" in answer["detail"]
    running.tables.set_protocol("METER_A", "legacy", by="adam", now=utc_now())
    assert (await running.post(reading()))[0] == 200
    assert [(c.protocol, c.changed_by, c.note) for c in running.tables.protocol_changes("METER_A")] == [
        ("both", "test", ""), ("sep2", "eve", "firmware"), ("legacy", "adam", "")
    ]  # fmt: skip
    running.registry.set_status(pki.devices["METER_A"].lfdi, "suspended")
    assert (await running.post(reading()))[1]["error"] == "meter_not_active"


def base58(content: bytes) -> str:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(content, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return "1" * (len(content) - len(content.lstrip(b"\0"))) + text


async def test_signatures_are_checked_for_meters_whose_key_is_known(running: Running):
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert (await running.post(dlms(signature="1" * 64), path=DLMS_PATH))[0] == 202
    running.tables.register_signing_key("METER_A", raw.hex(), utc_now())
    good = base58(key.sign(b"METER_A:0.0405:1767225615250"))
    assert (await running.post(dlms(signature=good), path=DLMS_PATH))[0] == 202
    assert (await running.post(dlms(signature=good, kwh=0.0406), path=DLMS_PATH))[1]["error"] == "bad_signature"
    for signature in ("0OIl", "1" * 64, None):
        assert (await running.post(dlms(signature=signature), path=DLMS_PATH))[0] == 403
    # The short form carries no such signature: it must not be the way around.
    assert (await running.post(reading()))[1]["error"] == "bad_signature"
    assert "gateway_bad_signature" in running.events()


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"kwh": 10.0}, "METER_A:10:1767225615250"),
        ({"kwh": -0.0415}, "METER_A:-0.0415:1767225615250"),
        ({"kwh": 1e-7}, "METER_A:0.0000001:1767225615250"),
        ({"kwh": None}, "METER_A:0.0405:1767225615250"),
        ({"kwh": None, IMPORT_OBIS: None, EXPORT_OBIS: 5000.0}, "METER_A:5:1767225615250"),
    ],
)
def test_what_a_meter_signs(payload, text):
    (item,) = read_body(json.dumps(dlms(**payload)).encode())
    assert signed_text(item).decode() == text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["meter_id", "timestamp", "energy_consumed", "readings", "protocol", "payload", "device_id", IMPORT_OBIS, "metadata", "kwh"]),
                inner | st.sampled_from(["dlms", "METER_A", "2026-01-01T00:00:15Z", "9999-12-31T23:59:59-12:00"]),
                max_size=4,
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    )
)  # fmt: skip
def test_whatever_the_bytes_a_body_is_read_or_refused(body: bytes):
    try:
        found = read_body(body)
    except BadDocument:
        return
    assert found
    assert all(item.at.tzinfo is not None for item in found)


async def test_files_are_landed_once_whatever_they_are_called(gateway_options: ServerOptions, tmp_path: Path):
    tables = GatewayTables(gateway_options.operational_url)
    tables.create_all()
    readings = [reading(energy_consumed=n / 1000) for n in range(250)]
    lines, array, bad = tmp_path / "a.jsonl", tmp_path / "b.json", tmp_path / "c.jsonl"
    lines.write_text("\n\n".join(json.dumps(item) for item in readings))
    array.write_text(json.dumps([dlms("METER_B", kwh=n) for n in range(3)], indent=2))
    bad.write_text(json.dumps(reading()) + "\n" + json.dumps(reading("METER_Z")) + "\n")
    with pytest.raises(NotImported, match="reading 1: meter METER_Z is not in the registry"):
        check_file(bad, tables.meter, lambda _: None)

    async def run() -> list[tuple[int, int]]:
        store = SqliteLandingStore(gateway_options.landing_dir, IMPORT_WORKER)
        try:
            known = landed_bodies(SqliteLandingReader(gateway_options.landing_dir))
            done = []
            for path in (lines, array):
                check_file(path, tables.meter, lambda _: None)
                result = await import_file(path, store, known, "stanford", utc_now, lambda _: None)
                done.append((result.landed, result.readings))
            return done
        finally:
            store.close()

    assert await run() == [(3, 250), (1, 3)]
    assert await run() == [(0, 0), (0, 0)]
    messages = landed(gateway_options.landing_dir)
    assert [len(read_body(m.body, lines=m.content_type == "application/x-ndjson")) for m in messages] == [100, 100, 50, 3]
    assert {(m.source, m.method, m.message_id.split("-")[1]) for m in messages} == {("gateway", "IMPORT", f"w{IMPORT_WORKER}")}
    assert json.loads(messages[3].body) == json.loads(array.read_text())
    tables.close()


async def test_workers_share_the_gateways_port_and_stop_in_order(start, gateway_options: ServerOptions, pki: Pki):
    process = start(replace(gateway_options, workers=2))
    line = (await asyncio.to_thread(process.process.stdout.readline)).decode()
    url = line.split("gateway=")[1].split()[0]
    context = ssl.create_default_context(cafile=str(pki.authority.certificate_path))
    tokens = gateway_tokens(gateway_options)
    headers = {"Authorization": f"Bearer {tokens.issue(['METER_A'], now=utc_now(), lifetime=HOUR)}"}
    ids = set()
    for number in range(6):
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(url, connector=connector, headers=headers) as session:
            async with session.post(READINGS_PATH, json=reading(energy_consumed=number)) as response:
                assert response.status == 200
                ids.add((await response.json())["id"])
            # No certificate, no 2030.5: the other listener is not reachable through this one.
            async with session.get("/dcap") as response:
                assert response.status == 404
    assert await asyncio.to_thread(process.stop) == 0
    assert {message.message_id for message in landed(gateway_options.landing_dir)} == ids
    assert stat.S_IMODE(gateway_options.gateway_token_key.stat().st_mode) == 0o600
    assert SECRET.decode() not in process.log.read_text()


def test_options_that_cannot_work(gateway_options: ServerOptions):
    for wrong in ({"gateway_port": 70_000}, {"gateway_require": "all"}, {"gateway_algorithm": "none"}):
        with pytest.raises(ValueError, match="gateway_"):
            replace(gateway_options, **wrong)
    assert ServerOptions.from_json(gateway_options.to_json()) == gateway_options
