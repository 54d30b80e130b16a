"""Async client of an IEEE 2030.5 server, as one device: one certificate, one connection, discovery from /dcap.

`session` talks, `programs` finds the programs a device belongs to and their events, `responses` answers events, `watch` keeps a
device's schedules current by polling, or by notifications that `notifications` receives.
"""

from __future__ import annotations

from .errors import ClientError, NotRegistered, NotTrusted, ProtocolError, Refused, Response, Unavailable, WrongPin
from .session import Client, Page, Retry

__all__ = [
    "Client",
    "ClientError",
    "NotRegistered",
    "NotTrusted",
    "Page",
    "ProtocolError",
    "Refused",
    "Response",
    "Retry",
    "Unavailable",
    "WrongPin",
]
