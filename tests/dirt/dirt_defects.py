"""Every defect that meters are known for, put into a feed at a known place.

A function changes the posts of a feed from number `first` on and returns the labels of everything that has to be found because
of it. Those above `Feed.settle` change what is measured: the registers follow. Those below change what is sent.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dirt_feeds import Feed, Post

ALL = "all"


@dataclass(frozen=True)
class Label:
    """A finding or a refusal that has to be told of a meter, channel (`all`: the meter) and time (epoch s)."""

    code: str
    meter: str
    channel: str
    start: int
    end: int


def _labels(code: str, feed: Feed, channels: Iterable[str], first: int, n: int) -> list[Label]:
    posts = feed.posts[first : first + n]
    return [Label(code, feed.meter, channel, posts[0].start, posts[-1].start + posts[-1].length) for channel in channels]


def flat(feed: Feed, first: int, n: int, channel: str, value: int) -> list[Label]:
    """A sensor that is stuck."""
    for post in feed.posts[first : first + n]:
        post.values[channel][0] = value
    feed.settle()
    return _labels("stuck", feed, [channel], first, n)


def dark(feed: Feed, first: int, n: int) -> list[Label]:
    """An inverter that has tripped while the sun shines."""
    flat(feed, first, n, "generation", 0)
    return _labels("zero_generation", feed, ["generation"], first, n)


def moonshine(feed: Feed, first: int, n: int, least: int) -> list[Label]:
    """Generation at night."""
    for number, post in enumerate(feed.posts[first : first + n]):
        post.values["generation"][0] = least + number * 7919 % 1009
    feed.settle()
    return _labels("night_generation", feed, ["generation"], first, n)


def tare(feed: Feed, first: int, n: int) -> list[Label]:
    """The inverter's own use as negative generation."""
    for number, post in enumerate(feed.posts[first : first + n]):
        post.values["generation"][0] = -100 - number % 7
    feed.settle()
    return _labels("tare", feed, ["generation"], first, n)


def multiplied(feed: Feed, first: int, n: int, channel: str, factor: int, code: str) -> list[Label]:
    """Far more energy than there was."""
    for post in feed.posts[first : first + n]:
        post.values[channel][0] = (post.values[channel][0] or 0) * factor
    feed.settle()
    return _labels(code, feed, [channel], first, n)


def gap(feed: Feed, first: int, n: int) -> list[Label]:
    labels = _labels("missing", feed, [ALL], first, n)
    for post in feed.posts[first : first + n]:
        post.received = -1
    return labels


def truncated(feed: Feed, numbers: Sequence[int]) -> list[Label]:
    """Bodies that end too early."""
    labels = []
    for number in numbers:
        feed.posts[number].cut = True
        labels += _labels("missing", feed, [ALL], number, 1)
        labels.append(Label("malformed_document", feed.meter, ALL, 0, 0))
    return labels


def duplicate(feed: Feed, first: int, n: int) -> list[Label]:
    """The same message again, 20 s later."""
    for post in feed.posts[first : first + n]:
        feed.extra.append(copy.deepcopy(post))
        feed.extra[-1].received += 20.5
    return _labels("duplicate", feed, [ALL], first, n)


def conflict(feed: Feed, numbers: Sequence[int]) -> list[Label]:
    """Another value for the same interval, a little later."""
    labels = []
    for number in numbers:
        other = copy.deepcopy(feed.posts[number])
        other.received += 3.5
        other.values["load"][0] = (other.values["load"][0] or 0) + 1
        feed.extra.append(other)
        # Its other channels say what they said before.
        labels += _labels("conflict", feed, ["load"], number, 1) + _labels("duplicate", feed, [ALL], number, 1)
    return labels


def drift(feed: Feed, first: int, n: int, seconds: float) -> list[Label]:
    """A clock that is behind, so that everything seems to come too late, or ahead."""
    for number, post in enumerate(feed.posts[first : first + n]):
        post.received += seconds + number % 3
    return _labels("clock_drift", feed, [ALL], first, n)


def off_by_a_second(feed: Feed, first: int, n: int) -> list[Label]:
    for number, post in enumerate(feed.posts[first : first + n]):
        post.shift = 1 if number % 2 else -1
    return _labels("clock_snapped", feed, [*feed.posts[first].values, "state_of_charge"], first, n)


def rollover(feed: Feed, at: int, end: int = 10**11) -> list[Label]:
    """Registers that begin again at 0 after `end` (milli-Wh); label: of the channels that move in the interval."""
    channels = [name for name, (energy, _) in feed.posts[at].values.items() if energy]
    for channel in channels:
        before = feed.posts[at - 1].values[channel][1] or 0
        for post in feed.posts:
            value = post.values[channel]
            value[1] = (value[1] or 0) - before + end - 1
            value[1] -= end if value[1] >= end else 0
    return _labels("register_rollover", feed, channels, at, 1)


def swap(feed: Feed, at: int) -> list[Label]:
    """Another device in the meter's place, whose registers are new."""
    before = {name: register or 0 for name, (_, register) in feed.posts[at - 1].values.items()}
    for post in feed.posts[at:]:
        post.device = 1
        for name, value in post.values.items():
            value[1] = (value[1] or 0) - before[name]
    return _labels("meter_swap", feed, before, at, 1)


def wrong_interval_value(feed: Feed, first: int, n: int, channel: str = "load", percent: int = 103) -> list[Label]:
    """Interval values that the registers do not confirm."""
    for post in feed.posts[first : first + n]:
        post.values[channel][0] = (post.values[channel][0] or 0) * percent // 100
    labels = _labels("register_mismatch", feed, [channel], first, n)
    return labels + _labels("sibling_imbalance", feed, [ALL], first, n)


def wrong_channel(feed: Feed, first: int, n: int, extra: int) -> list[Label]:
    """An import that is not that of the building, in interval values and registers alike."""
    added = 0
    for number, post in enumerate(feed.posts[first:]):
        value = post.values["import"]
        more = extra if number < n else 0
        added += more
        value[0], value[1] = (value[0] or 0) + more, (value[1] or 0) + added
    return _labels("sibling_imbalance", feed, [ALL], first, n)


def without(feed: Feed, first: int, n: int, channel: str) -> list[Label]:
    """A channel that is not sent."""
    for post in feed.posts[first : first + n]:
        del post.values[channel]
    return _labels("sibling_missing", feed, [ALL], first, n) + _labels("missing", feed, [channel], first, n)


def late(feed: Feed, first: int, n: int, seconds: float) -> list[Label]:
    for post in feed.posts[first : first + n]:
        post.received += seconds
    return _labels("late", feed, [ALL], first, n)


def out_of_order(feed: Feed, first: int, n: int) -> list[Label]:
    """Posts that overtake one another, none of them late."""
    for number, post in enumerate(feed.posts[first : first + n]):
        post.received += (number * 7919) % 43
    return []


def other_unit(feed: Feed, first: int) -> list[Label]:
    """Values in milliontieths from now on, and the type that says so."""
    for post in feed.posts[first:]:
        post.multiplier = -6
    return []


def refused(feed: Feed, numbers: Sequence[int], channel: str, factor: int, code: str) -> list[Label]:
    """Values a thousand times too large without a word, or of the wrong sign."""
    labels = []
    for number in numbers:
        value = feed.posts[number].values[channel]
        value[0] = (value[0] or 0) * factor
        for what, of in ((code, channel), ("missing", channel), ("sibling_missing", ALL)):
            labels += _labels(what, feed, [of], number, 1)
    return labels


def too_often(feed: Feed, first: int, n: int) -> list[Label]:
    """The energy of a quarter of an hour in every reading of 15 s."""
    posts = feed.posts[first : first + n]
    for post in posts:
        for value in post.values.values():
            value[0] = (value[0] or 0) * 60
    moving = [name for name, (energy, _) in posts[0].values.items() if energy]
    labels = [label for code in ("overcounting", "out_of_range", "missing") for label in _labels(code, feed, moving, first, n)]
    return labels + _labels("sibling_missing", feed, [ALL], first, n)


def with_separators(feed: Feed, numbers: Sequence[int]) -> list[Label]:
    """Numbers as people write them: "1,234.5"."""
    labels = []
    for number in numbers:
        feed.posts[number].separators = True
        labels += _labels("missing", feed, [ALL], number, 1)
        labels.append(Label("unknown_document", feed.meter, ALL, 0, 0))
    return labels


def sent(feeds: Iterable[Feed]) -> list[Feed]:
    """The feeds less what was never sent."""
    kept = []
    for feed in feeds:
        posts: list[Post] = [post for post in feed.posts if post.received > 0]
        kept.append(Feed(feed.meter, posts, feed.legacy, feed.extra))
    return kept
