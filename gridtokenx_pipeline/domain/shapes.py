"""Many messages of one shape, read together: the XML parser sees one of them.

A device writes its messages alike, and so do all devices of a maker: they differ in some texts. The bytes of a message are cut
into markup (from a `<` to the `>` before a text) and the texts between. Messages whose markups are equal one by one have one
shape. The shape's first message, with a mark of its own in the place of every text, goes through the XML reader; where the marks
come out tells which text is which field, and all messages of the shape are then read column by column.

This says what the XML reader would say of each, because
- nothing but markups and texts is left: a shape with CDATA, processing instructions, a DOCTYPE or a comment that is not whole in
  one markup is not taken, so between a `>` and the next `<` there is character data, always;
- a text taken is clean: a number, or printable ASCII, letters and digits without `&`, `<`, `>` and without space at its ends (or
  in a shape of padded texts, after it is taken away, as the reader does). Clean texts are character data whatever they are, so a
  document stays well-formed when one replaces another. A blank text is blank in all messages;
- the reader looks at which elements hold a text, never at the text (see `documents`), so marks tell of all texts.
What is not taken is left to the XML reader, message by message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from gridtokenx_pipeline.domain.documents import READING_ROWS, READING_TEXTS, TYPE_ROWS, TYPE_TEXTS, Rows, read_document
from gridtokenx_pipeline.domain.reading_types import normal_mrid
from gridtokenx_pipeline.domain.wire import NUMBERS
from ieee2030_5.xml import MAX_BYTES, XmlError

Ints = npt.NDArray[np.int64]

FEWEST = 8
"""Messages of one shape that are worth its making: below that the XML reader is as fast."""
_ROUNDS = 8  # Shapes tried for messages that are alike in their numbers of bytes.
_BLOCK = 1 << 17  # Bytes looked at in one go: they stay in the processor's cache.
_BLANK = " \t\r\n"
_BLANK_TEXT = r"^[ \t\r\n]*$"
_CLEAN_TEXT = r"^[!-%'-;=?-~\p{L}\p{N}](?:[ -%'-;=?-~\p{L}\p{N}]*[!-%'-;=?-~\p{L}\p{N}])?$"
_COMMENT = re.compile("<!--(?:[^<>-]|-(?!-))*-->")
_MARK = "t{}"


@dataclass(frozen=True)
class Shape:
    """Where the fields of a shape are. Places are indices of texts; -1 stands for none.

    `places` of the readings and `type_places` of the declared types have a row for each and a column for each text. `blank`
    places hold spaces only; `other` ones hold a text that is no reading's number. `padded` tells
    whether texts may have space around them.
    """

    name: str
    places: dict[str, list[int]]
    set_index: list[int | None]
    type_places: dict[str, list[int]]
    blank: list[int]
    other: list[int]
    padded: bool


@dataclass(frozen=True)
class Read:
    """Messages of one shape: their numbers, the local name of their root, frames of READING_ROWS (as `wire.numbered` gives
    them) and of TYPE_ROWS."""

    numbers: list[int]
    name: str
    readings: pl.DataFrame
    types: pl.DataFrame


def read_shapes(bodies: list[bytes]) -> tuple[list[Read], list[int]]:
    """Read the messages that have a shape in common, and return the numbers (indices) of all others, ascending."""
    every = list(range(len(bodies)))
    cut = _cut(bodies, every)
    taken = [] if cut is None else list(cut.shapes())
    done = {number for read in taken for number in read.numbers}
    return taken, [number for number in every if number not in done]


def _cut(bodies: list[bytes], numbers: list[int]) -> _Texts | None:
    """Cut messages into markups and texts, leaving out those where they do not alternate; None where too few are left."""
    if len(numbers) < FEWEST:
        return None
    chosen = bodies if len(numbers) == len(bodies) else [bodies[n] for n in numbers]
    sizes = np.fromiter(map(len, chosen), np.int64, len(chosen))
    starts = np.cumsum(sizes + 1) - sizes - 1
    # The space after each message ends its last text.
    joined = b" ".join([*chosen, b""])
    data = np.frombuffer(joined, np.uint8)
    if not _is_utf8(joined) or sizes.max() > MAX_BYTES or (data[starts] != ord("<")).any():
        return _cut(bodies, [n for n in numbers if bodies[n][:1] == b"<" and _is_utf8(bodies[n]) and len(bodies[n]) <= MAX_BYTES])
    at = _boundaries(data)
    first = np.searchsorted(at, starts)
    count = np.diff(np.append(first, len(at)))
    opens = data[at] == ord("<")
    if (count % 2).any() or not opens[::2].all() or opens[1::2].any():
        # Some message is torn, or holds a comment.
        wrong = opens == (np.arange(len(at)) - np.repeat(first, count)) % 2
        good = (np.add.reduceat(wrong, first, dtype=np.int64) == 0) & (count % 2 == 0)
        return _cut(bodies, np.array(numbers)[good].tolist())
    return _Texts(np.array(numbers), joined, at, first // 2)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _boundaries(data: npt.NDArray[np.uint8]) -> Ints:
    """Where a markup starts (a `<` after anything but `>`) or a text does (anything but `<` after a `>`), ascending."""
    found = []
    for start in range(0, len(data), _BLOCK):
        opens = data[start : start + _BLOCK] == ord("<")
        before = data[max(start - 1, 0) : start + len(opens) - 1] == ord(">")
        opens[len(opens) - len(before) :] ^= before
        found.append(np.flatnonzero(opens) + start)
    return np.concatenate(found)


class _Texts:
    """Messages cut into markups and texts: `markups` and `texts` have as many rows, message i's from `first[i]` on."""

    def __init__(self, numbers: Ints, joined: bytes, at: Ints, first: Ints) -> None:
        self.numbers = numbers
        offsets = np.append(at, len(joined))
        pieces = pa.Array.from_buffers(pa.large_utf8(), len(at), [None, pa.py_buffer(offsets), pa.py_buffer(joined)])
        series = pl.Series(pieces)
        self.markups, self.texts = series.gather_every(2), series.gather_every(2, 1)
        self._stripped: pl.Series | None = None
        self.first = first
        self.count = np.diff(np.append(first, len(at) // 2))
        self.bytes = np.add.reduceat((offsets[1::2] - offsets[:-1:2]), first)

    def shapes(self) -> Iterator[Read]:
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

    def _of(self, shape: Shape) -> pl.Series:
        """The texts as a shape has them."""
        if not shape.padded:
            return self.texts
        if self._stripped is None:
            self._stripped = self.texts.str.strip_chars(_BLANK)
        return self._stripped

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

    def _read(self, shape: Shape, members: Ints) -> Iterator[Read]:
        """What `members` say, without those whose texts are not clean."""
        texts = self._of(shape)
        good = self._match(texts, members, shape.blank, _BLANK_TEXT) & self._match(texts, members, shape.other, _CLEAN_TEXT)
        readings = self._columns(texts, members, shape.places)
        numbers = {}
        for name, new in NUMBERS.items():
            number = readings[name].cast(pl.Int64, strict=False)
            if number.null_count() > readings[name].null_count():
                good &= self._match(texts, members, [place for place in shape.places[name] if place >= 0], _CLEAN_TEXT)
            numbers[new] = number
        if not good.all():
            if good.any():
                yield from self._read(shape, members[good])
            return
        count = len(shape.set_index)
        own = self.numbers[members].astype(np.int32)
        readings = readings.with_columns(
            pl.Series("message", np.repeat(own, count)),
            pl.Series("position", np.tile(np.arange(count, dtype=np.int32), len(own))),
            _tiled("set_index", shape.set_index, len(own)),
            *(series.alias(name) for name, series in numbers.items()),
            _normal_mrids(readings["mrid"]),
        ).select(*READING_ROWS, *NUMBERS.values(), "mmr_mrid")
        declared = len(shape.type_places["mrid"])
        types = (
            self._columns(texts, members, shape.type_places)
            .with_columns(
                pl.Series("message", np.repeat(own, declared)),
                pl.Series("order", np.tile(np.arange(declared, dtype=np.int32), len(own))),
            )
            .select(*TYPE_ROWS)
        )
        yield Read(own.tolist(), shape.name, readings, types)

    def _columns(self, texts: pl.Series, members: Ints, places: dict[str, list[int]]) -> pl.DataFrame:
        rows = len(members) * len(next(iter(places.values())))
        columns = []
        for name, at in places.items():
            if max(at, default=-1) < 0:
                columns.append(pl.Series(name, [None], pl.String).new_from_index(0, rows))
            else:
                columns.append(texts.gather(self._index(members, at)).alias(name))
        return pl.DataFrame(columns)

    def _match(self, texts: pl.Series, members: Ints, places: list[int], pattern: str) -> npt.NDArray[np.bool_]:
        """Whether the texts at `places` of each of `members` match a pattern."""
        good = np.ones(len(members), np.bool_)
        if places:
            own = texts.gather(self._index(members, places))
            met = own.unique()
            wrong = met.filter(~met.str.contains(pattern))
            if len(wrong):
                good = np.asarray(~own.is_in(wrong.implode()).to_numpy().reshape(len(members), -1).any(axis=1))
        return good


def _normal_mrids(mrids: pl.Series) -> pl.Series:
    """mRIDs at full width. Each is written once, however many readings have it: few are met, and texts hold on to all bytes."""
    met = mrids.drop_nulls().unique()
    if met.is_empty():
        return mrids.alias("mmr_mrid")
    codes = mrids.cast(pl.Enum(met)).to_physical()
    return met.to_frame("mrid").select(normal_mrid(pl.col("mrid")).alias("mmr_mrid"))["mmr_mrid"].gather(codes)


def _tiled(name: str, values: list[int | None], times: int) -> pl.Series:
    one = pl.Series(name, values, pl.Int32)
    if one.null_count() == len(one):
        return pl.Series(name, [None], pl.Int32).new_from_index(0, len(one) * times)
    return one.gather(pl.Series(np.tile(np.arange(len(one)), times)))


def shape_of(markups: list[str], texts: list[str]) -> Shape | None:
    """Find where the fields of a message are, given as its markups and the text after each; None for one that is not taken."""
    instructions = sum(markup.count("<?") for markup in markups)
    if any("<!" in _COMMENT.sub("", markup) for markup in markups) or instructions != markups[0].startswith("<?xml "):
        return None
    blank = [place for place, text in enumerate(texts) if not text.strip(_BLANK)]
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
    padded = any(texts[place] != texts[place].strip(_BLANK) for place in marked)
    return Shape(name, places, [row[2] for row in rows.readings], type_places, blank, sorted(marked - numbers), padded)


def _places(names: tuple[str, ...], rows: list[tuple[str | None, ...]], marks: dict[str, int]) -> dict[str, list[int]] | None:
    found: dict[str, list[int]] = {name: [] for name in names}
    for row in rows:
        for name, text in zip(names, row, strict=True):
            if text is not None and text not in marks:
                return None
            found[name].append(-1 if text is None else marks[text])
    return found
