"""What a comparison of the chain with the warehouse found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Compared:
    """One comparison: how many things were looked at, what is different, and numbers that explain it.

    A problem is a line that names the meter, trade, bundle, interval or transaction. What was not done yet, or refused or
    parked, is no problem where the chain agrees: `numbers` has it.
    """

    name: str
    compared: int
    problems: tuple[str, ...] = ()
    numbers: Mapping[str, int | str] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether nothing is different."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {"name": self.name, "compared": self.compared, "problems": list(self.problems), "numbers": dict(self.numbers)}


def merged(parts: Iterable[Compared]) -> list[Compared]:
    """Return one comparison for each name among `parts`, in order of appearance; counts and whole numbers are added."""
    found: dict[str, Compared] = {}
    for part in parts:
        known = found.get(part.name)
        if known is None:
            found[part.name] = part
            continue
        sums: Counter[str] = Counter()
        texts: dict[str, str] = {}
        for name, value in (*known.numbers.items(), *part.numbers.items()):
            if isinstance(value, int):
                sums[name] += value
            else:
                texts[name] = value
        found[part.name] = Compared(
            part.name, known.compared + part.compared, (*known.problems, *part.problems), {**sums, **texts}
        )
    return list(found.values())
