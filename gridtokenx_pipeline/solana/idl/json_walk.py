"""Strict reading of JSON: every value knows its place, so that an error names it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .errors import IdlError


@dataclass(frozen=True)
class Node:
    """A JSON value and its place, such as `instructions[2].args[0].type`."""

    value: Any
    place: str = ""

    def fail(self, message: str) -> IdlError:
        """Return the error `place: message`."""
        return IdlError(f"{self.place or 'IDL'}: {message}")

    def object(self, required: str = "", optional: str = "") -> Node:
        """Return this node if it is an object with the `required` keys and no others than `optional` ones."""
        if not isinstance(self.value, dict):
            raise self.fail(f"an object is wanted, not {_kind(self.value)}")
        needed, allowed = set(required.split()), set((required + " " + optional).split())
        if missing := needed - set(self.value):
            raise self.fail(f"{', '.join(sorted(missing))} missing")
        if unknown := set(self.value) - allowed:
            raise self.fail(f"{', '.join(sorted(unknown))} unknown in an IDL of spec 0.1.0")
        return self

    def has(self, key: str) -> bool:
        """Say whether the object has `key` with another value than null."""
        return self.value.get(key) is not None

    def get(self, key: str) -> Node:
        """Return the value under `key`; null where the object has none."""
        return Node(self.value.get(key), f"{self.place}.{key}" if self.place else key)

    def items(self) -> Iterator[Node]:
        """Yield the items of a list; none where the value is null."""
        if self.value is None:
            return
        if not isinstance(self.value, list):
            raise self.fail(f"a list is wanted, not {_kind(self.value)}")
        for number, item in enumerate(self.value):
            yield Node(item, f"{self.place}[{number}]")

    def text(self) -> str:
        """Return the value, which must be text that is not empty."""
        if not isinstance(self.value, str) or not self.value:
            raise self.fail(f"text is wanted, not {_kind(self.value)}")
        return self.value

    def number(self, low: int, high: int) -> int:
        """Return the value, which must be an integer from `low` to `high`."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not low <= self.value <= high:
            raise self.fail(f"a number from {low} to {high} is wanted, not {self.value!r}")
        return self.value

    def flag(self) -> bool:
        """Return the value, which must be true, false or null (false)."""
        if self.value is not None and not isinstance(self.value, bool):
            raise self.fail(f"true or false is wanted, not {_kind(self.value)}")
        return bool(self.value)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {dict: "an object", list: "a list", str: f"the text {value!r}", bool: "a flag"}.get(type(value), f"{value!r}")
