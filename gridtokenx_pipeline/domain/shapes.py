"""Many messages of one shape, read together: the XML parser sees one of them.

A device writes its messages alike, and so do all devices of a maker: they differ in some texts. The bytes of a message are cut
into markup (from a `<` to the `>` before a text) and the texts between. Messages whose markups are equal one by one have one
shape. The shape's first message, with a mark of its own in the place of every text, goes through the XML reader; where the marks
come out tells which text is which field, and all messages of the shape are then read column by column.

This says what the XML reader would say of each, because
- nothing but markups and texts is left: a shape with comments, CDATA, processing instructions or a DOCTYPE is not taken, so
  between a `>` and the next `<` there is character data, always;
- a text taken is clean: a number, or printable ASCII without `&`, `<`, `>` and without space at its ends. Clean texts are
  character data whatever they are, so a document stays well-formed when one replaces another. A blank text is blank in all;
- the reader looks at which elements hold a text, never at the text (see `documents`), so marks tell of all texts.
What is not taken is left to the XML reader, message by message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from gridtokenx_pipeline.domain.documents import READING_ROWS, READING_TEXTS, TYPE_ROWS, TYPE_TEXTS, Rows, read_document
from gridtokenx_pipeline.domain.wire import NUMBERS
from ieee2030_5.xml import MAX_BYTES, XmlError

Ints = npt.NDArray[np.int64]

FEWEST = 8
"""Messages of one shape that are worth its making: below that the XML reader is as fast."""
_ROUNDS = 8  # Shapes tried for messages that are alike in their numbers of bytes.
_BLANK = b" \t\r\n"
_BLANK_TEXT = r"^[ \t\r\n]*$"
_CLEAN_TEXT = r"^[!-%'-;=?-~](?:[ -%'-;=?-~]*[!-%'-;=?-~])?$"
_MARK = "t{}"


@dataclass(frozen=True)
class Shape:
    """Where the fields of a shape are. Places are indices of texts; -1 stands for none.

    `places` of the readings and `type_places` of the declared types have a row for each and a column for each text. `blank`
    places hold spaces only; `other` ones hold a text that is no reading's number.
    """

    name: str
    places: dict[str, list[int]]
    set_index: list[int | None]
    type_places: dict[str, list[int]]
    blank: list[int]
    other: list[int]


@dataclass(frozen=True)
class Read:
    """Messages of one shape: their numbers, the local name of their root, frames of READING_ROWS (with the columns of `NUMBERS`,
    Int64, null where the text is no number) and of TYPE_ROWS."""

    numbers: list[int]
    name: str
    readings: pl.DataFrame
    types: pl.DataFrame


def read_shapes(bodies: list[bytes]) -> tuple[list[Read], list[int]]:
    """Read the messages that have a shape in common, and return the numbers (indices) of all others, ascending."""
    numbers = [n for n, body in enumerate(bodies) if body[:1] == b"<" and len(body) <= MAX_BYTES and body.isascii()]
    taken: list[Read] = []
    if len(numbers) >= FEWEST:
        cut = _cut(bodies, numbers)
        if cut is not None:
            taken = list(cut.shapes())
    done = {number for read in taken for number in read.numbers}
    return taken, [number for number in range(len(bodies)) if number not in done] if done else list(range(len(bodies)))


def _cut(bodies: list[bytes], numbers: list[int]) -> _Texts | None:
    """Cut messages into markups and texts, without those where they do not alternate. The space after each ends its last text."""
    joined = b" ".join([bodies[n] for n in numbers]) + b" "
    data = np.frombuffer(joined, np.uint8)
    opens = data == ord("<")
    # A markup starts where a `<` follows no `>`; a text starts where something else follows one.
    cuts = opens.copy()
    cuts[1:] ^= data[:-1] == ord(">")
    at = np.flatnonzero(cuts)
    kinds = opens[at]
    if len(at) % 2 == 0 and kinds[::2].all() and not kinds[1::2].any():
        starts = np.cumsum([0] + [len(bodies[n]) + 1 for n in numbers[:-1]])
        first = np.searchsorted(at, starts)
        if not (first % 2).any():
            return _Texts(bodies, numbers, joined, at, first // 2)
    # Rare: some message is torn, or holds a comment. Only those are put aside.
    kept = [n for n in numbers if _alternates(bodies[n])]
    return _cut(bodies, kept) if FEWEST <= len(kept) < len(numbers) else None


def _alternates(body: bytes) -> bool:
    data = np.frombuffer(body + b" ", np.uint8)
    opens = data == ord("<")
    cuts = opens.copy()
    cuts[1:] ^= data[:-1] == ord(">")
    kinds = opens[np.flatnonzero(cuts)]
    return len(kinds) % 2 == 0 and bool(kinds[::2].all()) and not kinds[1::2].any()


class _Texts:
    """Messages cut into markups and texts: `markups` and `texts` have as many rows, message i's from `first[i]` on."""

    def __init__(self, bodies: list[bytes], numbers: list[int], joined: bytes, at: Ints, first: Ints) -> None:
        self.bodies = bodies
        self.numbers = np.array(numbers)
        offsets = np.append(at, len(joined))
        pieces = pa.Array.from_buffers(pa.large_utf8(), len(at), [None, pa.py_buffer(offsets), pa.py_buffer(joined)])
        series = pl.Series(pieces)
        self.markups, self.texts = series.gather_every(2), series.gather_every(2, 1)
        self.first = first
        self.count = np.diff(np.append(first, len(at) // 2))
        self.bytes = np.add.reduceat((offsets[1::2] - offsets[:-1:2]), first)

    def shapes(self) -> Any:
        """Yield what is read of each shape."""
        alike, group = np.unique(self.count * (MAX_BYTES + 1) + self.bytes, return_inverse=True)
        order = np.argsort(group, kind="stable")
        for members in np.split(order, np.cumsum(np.bincount(group))[:-1]) if len(alike) else []:
            for _ in range(_ROUNDS):
                if len(members) < FEWEST:
                    break
                same = self._same(members)
                shape = self._shape(members[0])
                if shape is not None and same.sum() >= FEWEST:
                    yield from self._read(shape, members[same])
                members = members[~same]

    def _index(self, members: Ints, places: list[int]) -> pl.Series:
        """Rows of the texts at `places` of each of `members`, message by message; null for none."""
        at = np.array(places)
        rows = (self.first[members][:, None] + at).ravel()
        index = pl.Series(rows)
        return index if (at >= 0).all() else index.set(pl.Series(np.tile(at < 0, len(members))), None)

    def _same(self, members: Ints) -> npt.NDArray[np.bool_]:
        """Whether the markups of each of `members` are those of the first."""
        count = int(self.count[members[0]])
        places = list(range(count))
        own = self.markups.gather(self._index(members, places))
        pattern = self.markups.slice(int(self.first[members[0]]), count).gather(pl.Series(np.tile(places, len(members))))
        return np.asarray((own == pattern).to_numpy().reshape(len(members), count).all(axis=1))

    def _shape(self, member: int) -> Shape | None:
        """The shape of a message, None where it has none to rely on."""
        at, count = int(self.first[member]), int(self.count[member])
        markups, texts = self.markups.slice(at, count).to_list(), self.texts.slice(at, count).to_list()
        return shape_of(markups, texts)

    def _read(self, shape: Shape, members: Ints) -> Any:
        good = self._clean(shape, members)
        if not good.all():
            members = members[good]
        if not len(members):
            return
        readings = self._columns(members, shape.places)
        numbers = {new: readings[name].cast(pl.Int64, strict=False) for name, new in NUMBERS.items()}
        odd = np.zeros(len(readings), np.bool_)
        for name, new in NUMBERS.items():
            failed = numbers[new].is_null() & readings[name].is_not_null()
            if failed.any():
                odd |= (failed & ~readings[name].str.contains(_CLEAN_TEXT).fill_null(True)).to_numpy()
        if odd.any():
            odd_messages = odd.reshape(len(members), -1).any(axis=1)
            yield from self._read(shape, members[~odd_messages])
            return
        count = len(shape.set_index)
        own = self.numbers[members]
        readings = readings.with_columns(
            pl.Series("message", np.repeat(own, count), pl.Int32),
            pl.Series("position", np.tile(np.arange(count), len(own)), pl.Int32),
            _tiled("set_index", shape.set_index, len(own)),
            *(series.alias(name) for name, series in numbers.items()),
        ).select(*READING_ROWS, *NUMBERS.values())
        declared = len(shape.type_places["mrid"])
        types = (
            self._columns(members, shape.type_places)
            .with_columns(
                pl.Series("message", np.repeat(own, declared), pl.Int32),
                pl.Series("order", np.tile(np.arange(declared), len(own)), pl.Int32),
            )
            .select(*TYPE_ROWS)
        )
        yield Read(own.tolist(), shape.name, readings, types)

    def _columns(self, members: Ints, places: dict[str, list[int]]) -> pl.DataFrame:
        rows = len(members) * len(next(iter(places.values())))
        columns = []
        for name, at in places.items():
            if max(at, default=-1) < 0:
                columns.append(pl.Series(name, [None], pl.String).new_from_index(0, rows))
            else:
                columns.append(self.texts.gather(self._index(members, at)).alias(name))
        return pl.DataFrame(columns)

    def _clean(self, shape: Shape, members: Ints) -> npt.NDArray[np.bool_]:
        """Whether the blank texts of each of `members` are blank and all others but its numbers clean."""
        good = np.ones(len(members), np.bool_)
        for places, pattern in ((shape.blank, _BLANK_TEXT), (shape.other, _CLEAN_TEXT)):
            if places:
                texts = self.texts.gather(self._index(members, places))
                kinds = texts.unique()
                wrong = kinds.filter(~kinds.str.contains(pattern))
                if len(wrong):
                    good &= ~texts.is_in(wrong.implode()).to_numpy().reshape(len(members), -1).any(axis=1)
        return good


def _tiled(name: str, values: list[int | None], times: int) -> pl.Series:
    one = pl.Series(name, values, pl.Int32)
    if one.null_count() == len(one):
        return pl.Series(name, [None], pl.Int32).new_from_index(0, len(one) * times)
    return one.gather(pl.Series(np.tile(np.arange(len(one)), times)))


def shape_of(markups: list[str], texts: list[str]) -> Shape | None:
    """Find where the fields of a message are, given as its markups and the text after each; None for one that is not taken."""
    instructions = sum(markup.count("<?") for markup in markups)
    if any("<!" in markup for markup in markups) or instructions != markups[0].startswith("<?xml "):
        return None
    blank = [place for place, text in enumerate(texts) if not text.encode().strip(_BLANK)]
    marked = set(range(len(texts))) - set(blank)
    marks = {_MARK.format(place): place for place in marked}
    document = "".join(m + (_MARK.format(p) if p in marked else t) for p, (m, t) in enumerate(zip(markups, texts, strict=True)))
    rows = Rows()
    try:
        name = read_document(document.encode(), 0, rows)
    except XmlError:
        return None
    places = _places(READING_TEXTS, [row[3:] for row in rows.readings], marks)
    type_places = _places(TYPE_TEXTS, [row[2:] for row in rows.types], marks)
    if rows.devices or places is None or type_places is None:
        return None
    numbers = {place for name in NUMBERS for place in places[name]}
    return Shape(name, places, [row[2] for row in rows.readings], type_places, blank, sorted(marked - numbers))


def _places(names: tuple[str, ...], rows: list[tuple[str | None, ...]], marks: dict[str, int]) -> dict[str, list[int]] | None:
    found: dict[str, list[int]] = {name: [] for name in names}
    for row in rows:
        for name, text in zip(names, row, strict=True):
            if text is not None and text not in marks:
                return None
            found[name].append(-1 if text is None else marks[text])
    return found
