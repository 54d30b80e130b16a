"""What can keep a client's request from its purpose, and a server's answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class ClientError(Exception):
    """Anything that kept a request from its purpose."""


class Refused(ClientError):
    """The server answered and will not do it; asking again will not help. `reason_code` is None without an Error body."""

    def __init__(self, status: int, reason_code: int | None, path: str, text: str) -> None:
        super().__init__(
            f"{path}: {status}" + (f", reason {reason_code}" if reason_code is not None else "") + f" {text}".rstrip()
        )
        self.status = status
        self.reason_code = reason_code
        self.path = path
        self.text = text


class Unavailable(ClientError):
    """No usable answer after every attempt; `status` is the last one, None where there was no answer at all."""

    def __init__(self, path: str, attempts: int, status: int | None, detail: str) -> None:
        super().__init__(f"{path}: no success in {attempts} attempts: {detail}")
        self.path = path
        self.attempts = attempts
        self.status = status
        self.detail = detail


class NotTrusted(ClientError):
    """The server's certificate does not verify or names another host."""


class ProtocolError(ClientError):
    """The server's answer breaks the protocol: no Location, an unreadable document, a link that is not there."""


class NotRegistered(ClientError):
    """The server lists no EndDevice with the device's LFDI."""


class WrongPin(ClientError):
    """The server's registration has another PIN than the device's, so it is not the server that the device was sold to."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: status, headers, whole body."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def location(self) -> str | None:
        """Location header."""
        return self.headers.get("Location")
