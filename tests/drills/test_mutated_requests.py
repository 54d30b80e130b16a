from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from judge import Tally
from mutated_requests import drill
from wire import Answer, Exchange, Outcome, Sent

SEP = {"content-type": "application/sep+xml"}
ERROR = b'<Error xmlns="urn:ieee:std:2030.5:ns"><reasonCode>0</reasonCode></Error>'


async def test_mutated_requests_do_no_harm(tmp_path: Path) -> None:
    report = await drill(1000, 7, tmp_path)
    print(report.text())
    assert report.wrong == {}
    # Both sides of the drill were there: good requests were served, spoiled ones were not.
    statuses = sum(report.tally.statuses.values(), Counter[str]())
    assert statuses["201"] > 80
    assert statuses["400"] > 200
    assert sum(report.tally.acknowledged.values()) > 80


def tally(answer: Answer | None, expected: str = "answered", method: str = "POST") -> Tally:
    found = Tally()
    outcome = Outcome([answer] if answer else [], "open" if answer else "silent")
    found.judge(1, Exchange("c", "METER_A", [b"x"], [Sent(method, "/mup", b"body")], expected), outcome)
    return found


@pytest.mark.parametrize(
    ("answer", "expected", "reason"),
    [
        (Answer(500, SEP, ERROR), "answered", "answered by 500"),
        (Answer(404, {"content-type": "text/plain"}, b"no"), "answered", "404 of type text/plain"),
        (Answer(400, SEP, b"<Error/>"), "answered", "400 without an Error"),
        (Answer(405, SEP, ERROR), "refused", "405 without Allow"),
        (Answer(201, {}, b""), "refused", "201 for what should be refused"),
        (Answer(400, SEP, ERROR), "served", "400 for what should be served"),
        (Answer(302, {}, b""), "answered", "redirected by 302"),
        (None, "refused_or_closed", "silent after 0 answers of 1"),
    ],
)
def test_what_should_not_be_is_noticed(answer: Answer | None, expected: str, reason: str) -> None:
    [wrong] = tally(answer, expected).wrong
    assert wrong.startswith(f"c: {reason}")


def test_what_is_lost_or_landed_against_its_answer_is_noticed() -> None:
    acknowledged, refused = tally(Answer(201, {}, b"")), tally(Answer(400, SEP, ERROR))
    landed = Counter(acknowledged.acknowledged)
    acknowledged.check_landing(landed)
    assert acknowledged.wrong == {}
    acknowledged.check_landing(Counter())
    refused.check_landing(landed)
    assert list(acknowledged.wrong) == ["1 acknowledged messages are not in the landing store"]
    assert list(refused.wrong) == ["refused, and landed all the same"]
