"""What may come of a request, and the tally of what did."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import unquote

from lxml import etree
from wire import Answer, Exchange, Outcome, Sent

from ieee2030_5.resources import Error
from ieee2030_5.xml import MEDIA_TYPE, XmlError, decode, parse

_WRITES = frozenset({"PUT", "POST", "DELETE"})
# Registrations are kept in the registry, and land nothing.
_REGISTRATION = re.compile(r"(https?://[^/]*)?/edev(/[^/]+)?/?([?#].*)?", re.DOTALL)


@dataclass
class Tally:
    """Counts by category and status, what was acknowledged, and what should not have been: by kind, each with its examples."""

    statuses: dict[str, Counter[str]] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=dict)
    acknowledged: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: dict[tuple[str, str], int] = field(default_factory=dict)
    unsure: set[tuple[str, str]] = field(default_factory=set)

    def count(self, category: str, status: str) -> None:
        self.statuses.setdefault(category, Counter())[status] += 1

    def add_wrong(self, kind: str, example: str = "") -> None:
        self.wrong.setdefault(kind, []).append(example)

    def blame(self, number: int, exchange: Exchange, reason: str) -> None:
        self.count(exchange.category, "WRONG")
        sent = b"".join(exchange.pieces)
        shown = repr(sent[:400]) + (f"... ({len(sent)} bytes)" if len(sent) > 400 else "")
        self.add_wrong(f"{exchange.category}: {reason}", f"#{number} of {exchange.device}: {shown}")

    def judge(self, number: int, exchange: Exchange, outcome: Outcome) -> None:
        for answer, sent in zip(outcome.answers, exchange.requests, strict=False):
            self.count(exchange.category, f"{answer.status}")
            reason = _fault(answer, sent, exchange)
            if reason:
                self.blame(number, exchange, reason)
            self._remember(number, answer, sent)
        for sent in exchange.requests[len(outcome.answers) :]:
            self.unsure.add(_key(sent))
        if outcome.ended == "left":
            self.count(exchange.category, "left")
        elif len(outcome.answers) < len(exchange.requests):
            self.count(exchange.category, outcome.ended)
            if outcome.ended != "closed" or not exchange.expected.endswith("_or_closed"):
                self.blame(number, exchange, f"{outcome.ended} after {len(outcome.answers)} answers of {len(exchange.requests)}")

    def _remember(self, number: int, answer: Answer, sent: Sent) -> None:
        if sent.body is None or sent.method not in _WRITES or _REGISTRATION.fullmatch(unquote(sent.path)):
            return
        if answer.status < 300:
            self.acknowledged[_key(sent)] += 1
        elif sent.body:
            self.refused[_key(sent)] = number

    def check_landing(self, landed: Counter[tuple[str, str]]) -> None:
        """What was acknowledged has landed, as often as it was; what was refused has not."""
        missing = self.acknowledged - landed
        if missing:
            self.add_wrong(f"{missing.total()} acknowledged messages are not in the landing store")
        for key, number in self.refused.items():
            if key in landed and key not in self.acknowledged and key not in self.unsure:
                self.add_wrong("refused, and landed all the same", f"#{number}")

    def table(self) -> str:
        """Categories in lines, statuses in columns."""
        columns = sorted({status for counts in self.statuses.values() for status in counts})
        width = max(map(len, self.statuses))
        lines = [" ".join([" " * width, *(f"{column:>7}" for column in columns), "    all"])]
        total: Counter[str] = Counter()
        for category in sorted(self.statuses):
            counts = self.statuses[category]
            total += counts
            lines.append(_line(category, counts, columns, width))
        return "\n".join([*lines, _line("all", total, columns, width)])


def _line(name: str, counts: Counter[str], columns: list[str], width: int) -> str:
    sums = sum(count for status, count in counts.items() if status != "WRONG")
    return " ".join([f"{name:{width}}", *(f"{counts[column] or '':>7}" for column in columns), f"{sums:7}"])


def _key(sent: Sent) -> tuple[str, str]:
    return sent.method, hashlib.sha256(sent.body or b"").hexdigest()


def _fault(answer: Answer, sent: Sent, exchange: Exchange) -> str:
    status = answer.status
    if status >= 500:
        return f"answered by {status}"
    if exchange.expected == "served" and not (status < 300 or status == 304):
        return f"{status} for what should be served"
    if exchange.expected.startswith("refused") and status < 400:
        return f"{status} for what should be refused"
    if status >= 400:
        return _not_an_error(answer, sent.method == "HEAD")
    if status >= 300:
        return "" if status == 304 else f"redirected by {status}"
    if answer.body:
        try:
            etree.fromstring(answer.body)
        except etree.XMLSyntaxError as error:
            return f"{status} with a body that is not XML: {error}"
    return ""


def _not_an_error(answer: Answer, bodiless: bool) -> str:
    """Why a refusal is not what IEEE 2030.5 asks of one, "" if it is."""
    if answer.headers.get("content-type") != MEDIA_TYPE:
        return f"{answer.status} of type {answer.headers.get('content-type')}"
    if answer.status == 405 and not answer.headers.get("allow"):
        return "405 without Allow"
    if bodiless:
        return ""
    try:
        error = decode(parse(answer.body), Error)
    except XmlError as wrong:
        return f"{answer.status} without an Error: {wrong}"
    return "" if error.reason_code is not None else f"{answer.status} without a reason code"
