"""What the pipeline found against what was put in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl
from dirt_defects import Label


@dataclass(frozen=True)
class Told:
    """A row of core.vee_exceptions or core.rejected_readings; of a refusal the channel is not compared."""

    code: str
    meter: str
    channel: str | None
    start: int | None
    end: int | None


def told(exceptions: pl.DataFrame, rejected: pl.DataFrame) -> list[Told]:
    start = pl.col("interval_start").dt.epoch("s")
    found = exceptions.select("code", "meter_id", "channel", start.alias("start"), (start + pl.col("duration_s")).alias("end"))
    refused = rejected.select("reason", "meter_id", pl.lit(None, pl.String), start.alias("start"), (start + 1).alias("end"))
    return [Told(*row) for frame in (found, refused) for row in frame.iter_rows()]


@dataclass(frozen=True)
class Score:
    """Of one code: labels, those that were found, rows, those that belong to a label."""

    labels: int
    found: int
    rows: int
    right: int

    @property
    def recall(self) -> float:
        return self.found / self.labels if self.labels else 1.0

    @property
    def precision(self) -> float:
        return self.right / self.rows if self.rows else 1.0


def score(labels: Iterable[Label], rows: Iterable[Told]) -> dict[str, Score]:
    """Precision and recall of every code that was put in or found."""
    expected, got = defaultdict(list), defaultdict(list)
    for label in labels:
        expected[label.code, label.meter].append(label)
    for row in rows:
        got[row.code, row.meter].append(row)
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for key in {*expected, *got}:
        own, theirs = expected[key], got[key]
        counts = (
            len(own),
            sum(_found(label, theirs) for label in own),
            len(theirs),
            sum(any(_same(label, row) for label in own) for row in theirs),
        )
        sums[key[0]] = [a + b for a, b in zip(sums[key[0]], counts, strict=True)]
    return {code: Score(*counts) for code, counts in sorted(sums.items())}


def _found(label: Label, rows: Iterable[Told]) -> bool:
    """Whether rows tell the whole of the label's time; of refusals, which name single intervals, whether one is within it."""
    own = [row for row in rows if _same(label, row)]
    reached = label.start
    for row in sorted(own, key=lambda row: row.start or 0):
        if row.channel is None:
            return True
        if (row.start or 0) <= reached:
            reached = max(reached, row.end or 0)
    return bool(own) and reached >= label.end


def _same(label: Label, row: Told) -> bool:
    if row.start is None or label.end == 0:
        return row.start is None and label.end == 0
    return (row.channel in (None, label.channel)) and label.start < (row.end or 0) and row.start < label.end


def markdown(scores: dict[str, Score]) -> str:
    lines = ["| code | labels | found | recall | rows | right | precision |", "|---|---|---|---|---|---|---|"]
    for code, s in scores.items():
        lines.append(f"| {code} | {s.labels} | {s.found} | {s.recall:.3f} | {s.rows} | {s.right} | {s.precision:.3f} |")
    return "\n".join(lines) + "\n"
