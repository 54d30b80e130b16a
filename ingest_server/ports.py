"""One port shared by the workers of one server, and by no other server."""

from __future__ import annotations

import errno
import socket
import time


class PortUnavailable(Exception):
    """The server cannot have its port; the message names it and says what to do."""


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a TCP socket bound to `host`:`port` that shares the port with its sister workers. Raises `OSError`."""
    return _bound(host, port, shared=True)


def reserve_port(host: str, port: int, *, wait_s: float = 0.0) -> socket.socket:
    """Bind without listening, to be held for as long as the server runs; `port` 0 takes a free one.

    The port is first bound exclusively, so a second server fails here instead of sharing it. Raises `PortUnavailable`
    if it is still taken after `wait_s` seconds, or cannot be had at all.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            _bound(host, port, shared=False).close()
            return listening_socket(host, port)
        except socket.gaierror as error:
            raise PortUnavailable(f"host {host!r}: {error.strerror}") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise PortUnavailable(f"cannot listen on {host} port {port}: {error.strerror}") from None
            if time.monotonic() > deadline:
                raise PortUnavailable(f"port {port} on {host} is in use; stop what uses it or choose another port") from None
        time.sleep(0.05)


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock
