"""`gridtokenx settle status`, `retry` and `park` on a real outbox; no chain answers, and none is needed."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from solders.signature import Signature
from typer.testing import CliRunner

from gridtokenx_pipeline.cli import settle
from gridtokenx_pipeline.solana.actions import Action, Refusal
from gridtokenx_pipeline.solana.outbox import Outbox, Signed

START = dt.datetime(2026, 11, 20, 18, tzinfo=dt.UTC)
SIGNATURE = str(Signature.from_bytes(bytes(range(64))))


def action(number: int, batch: str = "batch-of-eighteen") -> Action:
    window = START + number * dt.timedelta(minutes=5)
    return Action(f"action-{number}-{number:032}", batch, "stanford", window, "mint_rec", f"bundle-{number}", "{}")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four actions: one waits, one was refused by a transaction, two were parked (of another batch)."""
    monkeypatch.setenv("GRIDTOKENX_SETTLEMENT__RPC_URL", "http://127.0.0.1:1")
    outbox = Outbox(f"sqlite:///{tmp_path / 'operational.sqlite'}")
    actions = [action(0), action(1), action(2, "batch-of-nineteen"), action(3, "batch-of-nineteen")]
    outbox.enqueue(actions)
    outbox.refuse({actions[1].action_id: Refusal(6008, "more than the oracle accepted")}, SIGNATURE)
    outbox.park_refused({one.action_id: Refusal(None, "no wallet") for one in actions[2:]})
    outbox.close()
    return tmp_path


def run(data: Path, *arguments: str):
    return CliRunner().invoke(settle.app, [*arguments, "--data", str(data)])


def states(data: Path) -> dict[str, str]:
    return {
        f"{one['kind']} {one['natural_key']}": one["state"] for one in json.loads(run(data, "status", "--json").stdout)["stopped"]
    }


def test_status_shows_what_waits_and_why_the_rest_does_not(data):
    found = json.loads(run(data, "status", "--json").stdout)
    assert found["actions"] == {"waiting": 1, "sent": 0, "done": 0, "refused": 1, "parked": 2}
    assert (found["oldest_waiting"]["natural_key"], found["oldest_waiting"]["window_start"]) == ("bundle-0", START.isoformat())
    assert [(one["state"], one["error_code"], one["error"]) for one in found["stopped"]] == [
        ("refused", 6008, "more than the oracle accepted"),
        ("parked", None, "no wallet"),
        ("parked", None, "no wallet"),
    ]
    text = run(data, "status").stdout
    assert "actions    1 waiting, 0 sent, 0 done, 1 refused, 2 parked" in text
    assert "mint_rec bundle-1: 6008 more than the oracle accepted" in text
    assert "gridtokenx settle retry" in text


def test_looking_makes_nothing(tmp_path):
    answer = run(tmp_path, "status")
    assert answer.exit_code == 0, answer.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ids", "left"),
    [
        (("action-1-000",), 2),  # an action
        (("batch-of-nine",), 1),  # a batch
        ((SIGNATURE[:10], "action-2-0"), 1),  # a transaction and an action
        (("--all",), 0),
    ],
)
def test_retried_actions_wait_again(data, ids, left):
    answer = run(data, "retry", *ids)
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == f"{3 - left} actions wait again; the next settlement sends them\n"
    assert len(states(data)) == left


def test_parked_actions_keep_the_reason(data):
    answer = run(data, "park", "batch-of-eighteen", "--reason", "meter is replaced")
    assert answer.stdout == "2 actions are parked: meter is replaced\n"
    stopped = json.loads(run(data, "status", "--json").stdout)["stopped"]
    assert {one["natural_key"]: one["error"] for one in stopped if one["state"] == "parked"} == {
        "bundle-0": "meter is replaced",
        "bundle-1": "meter is replaced",
        "bundle-2": "no wallet",
        "bundle-3": "no wallet",
    }


def test_what_was_sent_cannot_be_parked(data):
    outbox = Outbox(f"sqlite:///{data / 'operational.sqlite'}")
    outbox.record_attempts([Signed((action(0),), SIGNATURE, "payer", b"raw", 1)])
    outbox.close()
    answer = run(data, "park", "action-0-000", "--reason", "too late")
    assert (answer.exit_code, "waiting or refused begins so" in answer.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("retry",), 2, "name ids, or --all"),
        (("retry", "action-1-000", "--all"), 2, "name ids, or --all"),
        (("retry", "action"), 1, "8 characters"),
        (("retry", "action-0-000"), 1, "refused or parked begins so"),
        (("retry", "batch-of-"), 1, "2 ids begin so"),
        (("park", "action-0-000", "--reason", " "), 2, "say why"),
    ],
)
def test_ids_that_name_nothing_or_too_much_change_nothing(data, arguments, code, why):
    before = states(data)
    answer = run(data, *arguments)
    assert (answer.exit_code, why in answer.stderr) == (code, True), answer.stderr
    assert states(data) == before


@pytest.mark.parametrize("command", ["status", "retry", "park", "verify", "setup"])
def test_every_command_has_an_example(command):
    answer = CliRunner().invoke(settle.app, [command, "--help"])
    assert f"Example: gridtokenx settle {command}" in answer.output
