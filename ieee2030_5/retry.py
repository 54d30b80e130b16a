"""How a client retries."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently: waits grow from `base_s` by doubling, jittered, to `max_s`.

    A server's Retry-After is honoured where it is longer, up to `retry_after_max_s`.
    """

    attempts: int = 8
    base_s: float = 0.2
    max_s: float = 10.0
    retry_after_max_s: float = 120.0

    def wait_s(self, attempt: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after failed attempt `attempt` (from 1): half to all of the exponential step."""
        step = min(self.max_s, self.base_s * 2 ** min(attempt - 1, 32))
        jittered = step * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
        return max(jittered, min(retry_after_s or 0.0, self.retry_after_max_s))


def retry_after_s(text: str) -> float | None:
    """Retry-After in seconds, from either of its forms (RFC 9110, 10.2.3); None where absent or unreadable."""
    text = text.strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
