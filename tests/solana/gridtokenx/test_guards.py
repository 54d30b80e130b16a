"""What the programs refuse, at every boundary, and in the order in which they look."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from deployed_idls import deployed_idl
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from gridtokenx_pipeline.solana.gridtokenx.guards import (
    CertificateIssue,
    CertificateRules,
    Claimable,
    EnergyReading,
    GenerationMint,
    MarketRules,
    MeterTotals,
    OracleRules,
    Order,
    Refusal,
    RegisteredMeter,
    StatusChange,
    TokenRules,
    Trade,
    check_certificate,
    check_energy_reading,
    check_generation_mint,
    check_reading_mirror,
    check_status_change,
    check_trade,
)
from gridtokenx_pipeline.solana.idl import Coder, read_idl

GOLDEN = json.loads((Path(__file__).parents[1] / "idl" / "golden.json").read_text())
BRIDGE, OWNER, BUYER, SELLER, STRANGER = (Pubkey.from_bytes(bytes([byte]) * 32) for byte in range(1, 6))
NOW = 1_790_000_000
U64 = 2**64 - 1

READING = EnergyReading("AMI_METER_STANFORD_ENG_001", 900, 1_000, NOW, BRIDGE)
RULES = OracleRules(BRIDGE)


def code(refusal: Refusal | None) -> int | str | None:
    """The code, or the name where an error has none."""
    return None if refusal is None else refusal.name if refusal.code is None else refusal.code


def error_names(program: str) -> dict[int, str]:
    return {number: error.name for number, error in read_idl(deployed_idl(program)).errors.items()}


def submitted(last: int | None = None, now: int = NOW, rules: OracleRules = RULES, **changes: Any) -> int | str | None:
    refusal = check_energy_reading(dataclasses.replace(READING, **changes), rules, last, now)
    if refusal and refusal.code:
        assert error_names("oracle")[refusal.code] == refusal.name
    return code(refusal)


@pytest.mark.parametrize(("ahead", "expected"), [(0, None), (60, None), (61, 6006), (-(10**9), None)])
def test_a_reading_may_be_a_minute_ahead_of_the_chain_and_as_old_as_it_likes(ahead: int, expected: int | None) -> None:
    assert submitted(timestamp=NOW + ahead) == expected


@pytest.mark.parametrize(("gap", "expected"), [(-1, 6005), (0, 6005), (1, 6007), (59, 6007), (60, None), (300, None)])
def test_readings_rise_by_a_minute_or_more(gap: int, expected: int | None) -> None:
    assert submitted(last=NOW - gap) == expected


@pytest.mark.parametrize(("interval", "gap", "expected"), [(0, 1, None), (0, 0, 6005), (300, 299, 6007), (300, 300, None)])
def test_the_interval_is_the_oracles(interval: int, gap: int, expected: int | None) -> None:
    assert submitted(last=NOW - gap, rules=dataclasses.replace(RULES, min_interval_s=interval)) == expected


@pytest.mark.parametrize(
    ("produced", "consumed", "expected"),
    [
        (0, 0, None),
        (1_000_000, 0, None),
        (1_000_001, 0, 6003),
        (0, 1_000_000, None),
        (0, 1_000_001, 6003),
        (1_000, 100, None),
        (1_001, 100, 6004),
        (10, 1, None),
        (11, 1, 6004),
        (1_000_000, 99_999, 6004),
        (1_000_000, 100_000, None),
        # Out of range comes before the ratio.
        (1_000_001, 1, 6003),
    ],
)
def test_energies_have_a_cap_and_a_ratio(produced: int, consumed: int, expected: int | None) -> None:
    assert submitted(produced=produced, consumed=consumed) == expected


def test_a_minimum_lets_zero_pass() -> None:
    rules = dataclasses.replace(RULES, min_energy=10)
    assert [submitted(rules=rules, produced=value, consumed=0) for value in (0, 9, 10)] == [None, 6003, None]
    assert [submitted(rules=rules, produced=0, consumed=value) for value in (0, 9, 10)] == [None, 6003, None]


def test_the_ratio_is_switched_off_and_overflows() -> None:
    assert submitted(produced=11, consumed=1, rules=dataclasses.replace(RULES, anomaly_detection=False)) is None
    wide = dataclasses.replace(RULES, max_energy=U64, max_ratio=65_535)
    assert submitted(produced=U64 // 100, consumed=U64 // 65_535, rules=wide) is None
    assert submitted(produced=U64 // 100 + 1, consumed=U64 // 65_535, rules=wide) == 6008
    assert submitted(produced=1, consumed=U64 // 65_535 + 1, rules=wide) == 6008


@pytest.mark.parametrize(
    ("meter_id", "expected"),
    [("M" * 32, None), ("M" * 33, "MaxSeedLengthExceeded"), ("ü" * 16, None), ("ü" * 16 + "M", "MaxSeedLengthExceeded")],
)
def test_a_meter_id_has_32_bytes(meter_id: str, expected: str | None) -> None:
    assert submitted(meter_id=meter_id) == expected


def test_the_oracle_looks_in_its_order() -> None:
    """All wrong at once, then one after another put right: each time the next guard speaks."""
    rules = dataclasses.replace(RULES, active=False)
    wrong = {"meter_id": "M" * 33, "signer": STRANGER, "timestamp": NOW + 61, "produced": 1_000_001, "consumed": 1}
    spoken = [submitted(last=NOW + 70, rules=rules, **wrong)]
    spoken.append(submitted(last=NOW + 70, rules=rules, **(wrong := wrong | {"meter_id": "M"})))
    spoken.append(submitted(last=NOW + 70, **wrong))
    spoken.append(submitted(last=NOW + 70, **(wrong := wrong | {"signer": BRIDGE})))
    spoken.append(submitted(last=NOW + 70, **(wrong := wrong | {"timestamp": NOW + 60})))
    spoken.append(submitted(last=NOW + 59, **wrong))
    spoken.append(submitted(last=NOW, **wrong))
    spoken.append(submitted(last=NOW, **(wrong := wrong | {"produced": 1_000_000})))
    spoken.append(submitted(last=NOW, **(wrong | {"produced": 10})))
    assert spoken == ["MaxSeedLengthExceeded", 6002, 6001, 6006, 6005, 6007, 6003, 6004, None]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=12))
def test_what_is_accepted_one_after_another_keeps_its_distance(steps: list[int]) -> None:
    accepted: list[int] = []
    moment = NOW - 10_000
    for step in steps:
        moment += step
        if submitted(last=accepted[-1] if accepted else None, timestamp=moment) is None:
            accepted.append(moment)
    assert all(later - earlier >= 60 for earlier, later in pairwise(accepted))
    # And nothing was refused that would have kept it.
    assert accepted[0] == NOW - 10_000 + steps[0]


METER = RegisteredMeter("Active", NOW - 300, MeterTotals(5_000, 4_000))
SEEN = MeterTotals(5_900, 5_000)


def mirrored(
    meter: RegisteredMeter = METER, seen: MeterTotals | None = SEEN, authority: Pubkey | None = BRIDGE, **changes: Any
) -> int | str | None:
    refusal = check_reading_mirror(dataclasses.replace(READING, **changes), authority, meter, seen)
    if refusal and refusal.code:
        assert error_names("registry")[refusal.code] == refusal.name
    return code(refusal)


def test_the_registry_never_claims_more_than_the_oracle_saw() -> None:
    assert mirrored() is None
    assert mirrored(seen=MeterTotals(5_899, 5_000)) == 6032
    assert mirrored(seen=MeterTotals(5_900, 4_999)) == 6032
    assert mirrored(seen=None) == 6032


def test_the_mirror_has_guards_of_its_own() -> None:
    rich = MeterTotals(10**15, 10**15)
    assert mirrored(authority=None) == 6004
    assert mirrored(authority=STRANGER) == 6005
    assert [mirrored(dataclasses.replace(METER, status=status)) for status in ("Maintenance", "Inactive")] == [6002, 6002]
    gaps = [(0, 6006), (1, 6007), (59, 6007), (60, None)]
    assert [mirrored(dataclasses.replace(METER, last_timestamp=NOW - gap)) for gap, _ in gaps] == [
        expected for _, expected in gaps
    ]
    assert mirrored(dataclasses.replace(METER, last_timestamp=0), timestamp=1) is None
    assert mirrored(dataclasses.replace(METER, last_timestamp=0), timestamp=0) == 6006
    assert mirrored(seen=rich, produced=10**12) is None
    assert mirrored(seen=rich, produced=10**12 + 1) == 6008
    assert mirrored(seen=rich, consumed=10**12 + 1) == 6008
    full = dataclasses.replace(METER, totals=MeterTotals(U64 - 899, 0))
    assert mirrored(full, seen=MeterTotals(U64, U64)) == 6011
    assert mirrored(dataclasses.replace(METER, totals=MeterTotals(U64 - 900, 0)), seen=MeterTotals(U64, U64)) is None


def test_codes_of_readings_are_in_the_idls_tables() -> None:
    listed = {program: set(error_names(program)) for program in ("oracle", "registry", "energy_token", "governance", "trading")}
    assert {6001, 6002, 6003, 6004, 6005, 6006, 6007, 6008} <= listed["oracle"]
    assert {6000, 6002, 6004, 6005, 6006, 6007, 6008, 6011, 6030, 6032} <= listed["registry"]


TRADE = Trade(bytes(16), 5_000_000_000, 150_000, OWNER)
BUY, SELL = Order(BUYER, 200_000, 6_000_000_000), Order(SELLER, 100_000, 5_000_000_000)
MARKET = MarketRules(OWNER)


def traded(
    buy: Order = BUY, sell: Order = SELL, rules: MarketRules = MARKET, settled: bool = False, now: int = NOW, **changes: Any
) -> int | None:
    refusal = check_trade(dataclasses.replace(TRADE, **changes), buy, sell, rules, now, settled)
    if refusal and refusal.code and refusal.code >= 6000:
        assert error_names("trading")[refusal.code] == refusal.name
    return None if refusal is None else refusal.code


@pytest.mark.parametrize(("price", "expected"), [(99_999, 6024), (100_000, None), (200_000, None), (200_001, 6024)])
def test_the_price_lies_between_both_limits(price: int, expected: int | None) -> None:
    assert traded(price=price) == expected


@pytest.mark.parametrize(("amount", "expected"), [(0, 6001), (1, None), (5_000_000_000, None), (5_000_000_001, 6001)])
def test_no_more_is_traded_than_both_orders_hold(amount: int, expected: int | None) -> None:
    assert traded(amount=amount) == expected


def test_nobody_buys_of_himself() -> None:
    assert traded(sell=dataclasses.replace(SELL, user=BUYER)) == 6051


@pytest.mark.parametrize(("expires_at", "expected"), [(0, None), (NOW + 1, None), (NOW, 6023), (NOW - 1, 6023)])
def test_orders_end_when_they_say(expires_at: int, expected: int | None) -> None:
    assert traded(buy=dataclasses.replace(BUY, expires_at=expires_at)) == expected
    assert traded(sell=dataclasses.replace(SELL, expires_at=expires_at)) == expected


def test_a_trade_settles_once_by_its_own_16_bytes() -> None:
    refusal = check_trade(TRADE, BUY, SELL, MARKET, NOW, already_settled=True)
    assert refusal == Refusal(0, "AccountAlreadyInUse", f"the trade {'00' * 16} is settled")
    assert traded(trade_id=bytes(15)) == traded(trade_id=bytes(17)) == 102


def test_who_settles_is_the_markets_authority_while_governance_works() -> None:
    assert traded(signer=STRANGER) == 6000
    assert traded(rules=dataclasses.replace(MARKET, in_maintenance=True), signer=STRANGER) == 6017


def test_charges_are_a_part_of_the_value() -> None:
    # 5 kWh at 0.15: 750,000. A fifth is 150,000: 30,000 a kWh.
    assert traded(rules=dataclasses.replace(MARKET, wheeling=30_000)) is None
    assert traded(rules=dataclasses.replace(MARKET, wheeling=30_001)) == 6027
    assert traded(rules=dataclasses.replace(MARKET, loss_bps=2_000)) is None
    assert traded(rules=dataclasses.replace(MARKET, loss_bps=2_001)) == 6027
    assert traded(rules=dataclasses.replace(MARKET, fee_bps=8_000, loss_bps=2_000)) is None
    assert traded(rules=dataclasses.replace(MARKET, fee_bps=8_001, loss_bps=2_000)) == 6028


def test_values_beyond_a_u64_overflow() -> None:
    rich = [Order(user, U64, U64) for user in (BUYER, SELLER)]
    assert traded(rich[0], dataclasses.replace(rich[1], price_limit=0), amount=U64, price=U64) == 6018
    # The largest product is the value times the 2,000 of the charges' cap.
    free = dataclasses.replace(rich[1], price_limit=0)
    largest = U64 // 2_000
    assert traded(rich[0], free, amount=1_000_000_000, price=largest) is None
    assert traded(rich[0], free, amount=1_000_000_000, price=largest + 1) == 6018
    assert traded(rich[0], free, MarketRules(OWNER, wheeling=U64), amount=1_000_000_001) == 6018
    assert traded(rich[0], free, MarketRules(OWNER, wheeling=U64), amount=1_000_000_000) == 6027


def test_a_product_of_exactly_a_u64_still_fits() -> None:
    # 2^64 - 1 is a multiple of 65,535.
    orders = [Order(user, U64, U64) for user in (BUYER, SELLER)]
    sell = dataclasses.replace(orders[1], price_limit=0)
    fee = 65_535
    value = U64 // fee
    assert value * fee == U64
    assert traded(orders[0], sell, MarketRules(OWNER, fee_bps=fee), amount=1_000_000_000, price=value) == 6028
    assert traded(orders[0], sell, MarketRules(OWNER, fee_bps=fee), amount=1_000_000_000, price=value + 1) == 6018


MINT = GenerationMint(bytes(16), 900_000 * 2_000_000, 1, OWNER, STRANGER)
TOKEN = TokenRules(OWNER, frozenset({STRANGER}))


def minted(rules: TokenRules = TOKEN, now: int = 1_800_000_000, already: bool = False, **changes: Any) -> int | None:
    refusal = check_generation_mint(dataclasses.replace(MINT, **changes), rules, now, already)
    if refusal and refusal.code and refusal.code >= 6000:
        assert error_names("energy_token")[refusal.code] == refusal.name
    return None if refusal is None else refusal.code


@pytest.mark.parametrize(
    ("shift", "expected"), [(0, None), (1, 6010), (-1, 6010), (300_000, 6010), (900_000, None), (1_800_000, 6010)]
)
def test_mints_are_of_quarter_hours_that_have_begun_or_begin_next(shift: int, expected: int | None) -> None:
    assert minted(window_start_ms=MINT.window_start_ms + shift) == expected


@pytest.mark.parametrize("start", [0, -900_000])
def test_mints_are_of_positive_windows(start: int) -> None:
    assert minted(window_start_ms=start) == 6010


def test_the_window_ahead_is_counted_in_seconds() -> None:
    start_s = MINT.window_start_ms // 1_000
    assert minted(now=start_s - 900) is None
    assert minted(now=start_s - 901) == 6010


def test_a_mint_needs_two_different_keys_and_an_amount() -> None:
    assert minted(amount=0) == 6011
    assert minted(authority=STRANGER) == 6000
    assert minted(rec_validator=None) == minted(rec_validator=SELLER) == 6008
    assert minted(rules=TokenRules(OWNER, frozenset())) == 6008
    assert minted(rules=TokenRules(OWNER, frozenset({OWNER})), rec_validator=OWNER) == 6012
    assert minted(meter_id=bytes(15)) == 102


def test_a_window_minted_before_does_nothing_whatever_else_is_wrong() -> None:
    assert minted(already=True, amount=0, rec_validator=None) is None
    # But the signer is looked at before the record is.
    assert minted(already=True, authority=STRANGER) == 6000


ISSUE = CertificateIssue("STANFORD-ENG-001-2026-11", 100, "solar", "", OWNER, BRIDGE)
CERTIFYING = CertificateRules(BRIDGE, BRIDGE)


def issued(
    rules: CertificateRules = CERTIFYING, unclaimed: int = 2_000_000, already: bool = False, **changes: Any
) -> int | str | None:
    refusal = check_certificate(dataclasses.replace(ISSUE, **changes), rules, Claimable(OWNER, unclaimed), already)
    if refusal and refusal.code:
        assert error_names("governance")[refusal.code] == refusal.name
    return code(refusal)


@pytest.mark.parametrize(("energy", "expected"), [(99, 6005), (100, None), (1_000_000, None), (1_000_001, 6006)])
def test_certificates_are_of_100_kwh_or_more(energy: int, expected: int | None) -> None:
    assert issued(energy=energy) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"certificate_id": "c" * 32}, None),
        ({"certificate_id": "c" * 33}, "MaxSeedLengthExceeded"),
        ({"renewable_source": "s" * 64}, None),
        ({"renewable_source": "s" * 65}, 6008),
        ({"validation_data": "d" * 256}, None),
        ({"validation_data": "d" * 257}, 6029),
        ({"owner": STRANGER}, 6000),
        ({"authority": STRANGER}, 6000),
    ],
)
def test_certificates_have_texts_of_limited_length_and_two_signers(changes: dict[str, Any], expected: int | str | None) -> None:
    assert issued(**changes) == expected


def test_no_more_is_certified_than_was_generated_and_not_claimed() -> None:
    assert issued(unclaimed=100) is None
    assert issued(unclaimed=99) == 6017
    assert issued(already=True) == 0
    assert issued(dataclasses.replace(CERTIFYING, enabled=False)) == 6002
    assert issued(dataclasses.replace(CERTIFYING, oracle_missing=True)) == 6015
    assert issued(dataclasses.replace(CERTIFYING, registry_authority=STRANGER)) == 6000


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Active", "Maintenance", None),
        ("Maintenance", "Active", None),
        ("Active", "Active", None),
        ("Active", "Inactive", 6030),
        ("Maintenance", "Inactive", 6030),
        ("Inactive", "Active", 6030),
        ("Inactive", "Inactive", 6030),
    ],
)
def test_inactive_is_final(old: str, new: str, expected: int | None) -> None:
    refusal = check_status_change(StatusChange(old, new, OWNER), OWNER, BRIDGE)
    assert code(refusal) == expected
    if refusal and refusal.code:
        assert error_names("registry")[refusal.code] == refusal.name


def test_status_is_set_by_owner_or_authority() -> None:
    assert check_status_change(StatusChange("Active", "Maintenance", BRIDGE), OWNER, BRIDGE) is None
    assert code(check_status_change(StatusChange("Active", "Inactive", STRANGER), OWNER, BRIDGE)) == 6000


def test_facts_come_from_decoded_accounts() -> None:
    def account(program: str, name: str) -> Any:
        vector = next(item for item in GOLDEN["accounts"] if item["name"] == name)
        return Coder(read_idl(deployed_idl(program))).decode_account(name, bytes.fromhex(vector["data"]))

    key = Pubkey.from_string("64Vgos61STZ8pW9NnHi2iGtXMTQr7NqBoMorK6Zg8RJU")
    assert OracleRules.of(account("oracle", "OracleData")) == OracleRules(key)
    meter = account("registry", "MeterAccount")
    assert RegisteredMeter.of(meter) == RegisteredMeter("Maintenance", 2, MeterTotals(3, 4))
    assert Claimable.of(meter) == Claimable(key, 0)
    assert Claimable.of(meter | {"total_generation": 20}).unclaimed == 20 - 4 - 6 - 5
    token = {"authority": key, "rec_validators": [OWNER, BUYER, SELLER, BRIDGE, STRANGER], "rec_validators_count": 2}
    assert TokenRules.of(token) == TokenRules(key, frozenset({OWNER, BUYER}))
    order = {"buyer": BUYER, "seller": SELLER, "price_per_kwh": 7, "amount": 5, "filled_amount": 3, "expires_at": 9}
    assert (Order.of(order, "buyer"), Order.of(order, "seller").user) == (Order(BUYER, 7, 2, 9), SELLER)
    zero = bytes(4_096)
    coders = {name: Coder(read_idl(deployed_idl(name))) for name in ("trading", "governance", "registry")}

    def empty(program: str, name: str) -> Any:
        return coders[program].decode_account(name, coders[program].idl.accounts[name] + zero)

    market = MarketRules.of(empty("trading", "Market"), empty("trading", "TariffConfig"), empty("governance", "GovernanceConfig"))
    assert market == MarketRules(Pubkey.default(), fee_bps=0)
    rules = CertificateRules.of(
        empty("governance", "GovernanceConfig") | {"erc_validation_enabled": True, "require_oracle_validation": True},
        empty("registry", "Registry"),
    )
    assert rules == CertificateRules(Pubkey.default(), Pubkey.default(), True, 0, 0, True)


@pytest.mark.parametrize(
    ("config", "enabled", "oracle_missing"),
    [
        ({}, True, False),
        ({"maintenance_mode": True}, False, False),
        ({"erc_validation_enabled": False}, False, False),
        ({"require_oracle_validation": True}, True, True),
        ({"require_oracle_validation": True, "oracle_authority": BRIDGE}, True, False),
        ({"oracle_authority": BRIDGE}, True, False),
    ],
)
def test_what_governance_allows_is_read_from_its_switches(config: dict[str, Any], enabled: bool, oracle_missing: bool) -> None:
    coder = Coder(read_idl(deployed_idl("governance")))
    empty = coder.decode_account("GovernanceConfig", coder.idl.accounts["GovernanceConfig"] + bytes(500))
    rules = CertificateRules.of(empty | {"erc_validation_enabled": True} | config, {"authority": BRIDGE})
    assert (rules.enabled, rules.oracle_missing) == (enabled, oracle_missing)
