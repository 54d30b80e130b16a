"""Broken, odd and merely unusual ways to send a request over HTTP/1.1 (RFC 9112)."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable
from random import Random

from documents import Meter, readings
from wire import Exchange, Expected, Sent

_SEP = b"Content-Type: application/sep+xml\r\n"


def request(method: str, path: str, body: bytes = b"", *, media: str = "application/sep+xml", extra: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n".encode() + extra
    if body or method in ("POST", "PUT"):
        head += f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n".encode()
    return head + b"\r\n" + body


class Framing:
    """A POST of readings that is good but for how it is sent."""

    def __init__(self, rng: Random, device: str, meter: Meter) -> None:
        self.rng, self.device, self.body, self.meter = rng, device, readings(rng, meter), meter
        self.path = f"/mup/{meter.mirror}"
        self.start = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\n".encode() + _SEP

    def exchange(self, raw: bytes, expected: Expected, body: bytes | None, method: str = "POST") -> Exchange:
        return Exchange("", self.device, [raw], [Sent(method, self.path, body)], expected, fresh=True)

    def method(self) -> Exchange:
        name = self.rng.choice(
            (
                "BREW",
                "get",
                "PATCH",
                "OPTIONS",
                "TRACE",
                "CONNECT",
                "PROPFIND",
                "M" * 300,
                "G\x00T",
                "P OST",
                "",
                "\xffOST",
                "PRI",
            )
        )
        raw = b"%s %s HTTP/1.1\r\nHost: x\r\n\r\n" % (name.encode("latin-1"), self.path.encode())
        return self.exchange(raw, "refused_or_closed", None, name)

    def version(self) -> Exchange:
        name = self.rng.choice(
            (
                b"HTTP/0.9",
                b"HTTP/1.0",
                b"HTTP/2.0",
                b"HTTP/1.10",
                b"http/1.1",
                b"",
                b"HTTP/9.9",
                b"HTTPS/1.1",
                b"HTTP/1.",
                b"HTTP/-1.1",
            )
        )
        return self.exchange(self.start.replace(b"HTTP/1.1", name) + self._length() + self.body, "answered_or_closed", self.body)

    def header(self) -> Exchange:
        lines = (
            b"no colon", b": no name", b"X Y: 1", b"X\x00Y: 1", b"X: \x00", b"X: a\rb", b"X: a\nY: b", b"X : 1", b" folded", b"X: 1\r\n folded", b"\xff: 1",
            b"X: \xff\xfe", b"X" * 9000 + b": 1", b"X: " + b"y" * 9000, b"X: " + b"y" * 200_000, b"Host: other", b"X: 1\r\n" * 200 + b"Y: 2", b"(x): 1",
            b"Content-Type: text/plain", b"Connection: close, keep-alive", b"\x0b: 1", b"X: \x7f", b"X:",
        )  # fmt: skip
        return self.exchange(
            self.start + self.rng.choice(lines) + b"\r\n" + self._length() + self.body, "answered_or_closed", self.body
        )

    def length_wrong(self) -> Exchange:
        size = len(self.body)
        values = ("-1", "-0", "+5", "0x10", "1e2", f"{size},{size}", f"{size}, {size + 1}", f"{size} {size}", "9" * 30, str(2**63), str(2**64 + size), "",
                  "abc", f"{size}.0", f"{size};a", "\xb2", f"{size}\x00")  # fmt: skip
        raw = self.start + f"Content-Length: {self.rng.choice(values)}\r\n\r\n".encode("latin-1") + self.body
        return self.exchange(raw, "refused_or_closed", None)

    def length_twice(self) -> Exchange:
        other = self.rng.choice((0, 1, len(self.body) - 1, len(self.body) + 1, len(self.body)))
        raw = self.start + f"Content-Length: {len(self.body)}\r\nContent-Length: {other}\r\n\r\n".encode() + self.body
        return self.exchange(raw, "refused_or_closed", None)

    def length_padded(self) -> Exchange:
        length = f"Content-Length:{' ' * self.rng.randrange(1, 9)}{len(self.body)}{self.rng.choice((' ', '   ', chr(9)))}\r\n\r\n"
        return self.exchange(self.start + length.encode() + self.body, "served", self.body)

    def length_absent(self) -> Exchange:
        return self.exchange(self.start + b"\r\n" + self.body, "refused_or_closed", None)

    def length_short(self) -> Exchange:
        cut = self.rng.randrange(len(self.body))
        return self.exchange(self.start + self._length(cut) + self.body, "refused_or_closed", None)

    def length_long(self) -> Exchange:
        return self.exchange(self.start + self._length(len(self.body) + self.rng.randrange(1, 900)) + self.body, "refused", None)

    def chunked(self) -> Exchange:
        cut = self.rng.randrange(1, len(self.body))
        extension = self.rng.choice((b"", b"", b";a=b", b';a="b c"'))
        chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in (self.body[:cut], self.body[cut:]))
        trailer = self.rng.choice((b"", b"", b"X-Sum: 1\r\n"))
        raw = self.start + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n" + trailer + b"\r\n"
        return self.exchange(raw, "served", self.body)

    def chunks_broken(self) -> Exchange:
        body, size = self.body, b"%x" % len(self.body)
        chunks = self.rng.choice(
            (
                b"ZZ\r\n" + body + b"\r\n0\r\n\r\n", b"-5\r\n" + body, b"\r\n" + body, b"F" * 16 + b"\r\n" + body, b"F" * 40 + b"\r\n" + body,
                b"0x10\r\n" + body, size + b"\r\n" + body + b"0\r\n\r\n", size + b"\r\n" + body + b"\r\n-0\r\n\r\n", b"1\r\n" + body + b"\r\n0\r\n\r\n",
                size + b" \x00\r\n" + body + b"\r\n0\r\n\r\n", size + b";" + b"a" * 100_000 + b"\r\n", body, b"5 5\r\n" + body + b"\r\n0\r\n\r\n",
                size + b"\r" + body + b"\r\n0\r\n\r\n", b"\xff\r\n",
            )
        )  # fmt: skip
        return self.exchange(self.start + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, "refused_or_closed", None)

    def length_and_chunked(self) -> Exchange:
        coding = self.rng.choice((b"chunked", b"Chunked", b"gzip, chunked", b" chunked ", b"identity, chunked"))
        lines = [b"Transfer-Encoding: " + coding, b"Content-Length: %d" % self.rng.choice((0, len(self.body), 5))]
        self.rng.shuffle(lines)
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.body), self.body)
        return self.exchange(self.start + b"\r\n".join(lines) + b"\r\n\r\n" + chunks, "refused_or_closed", None)

    def coding_odd(self) -> Exchange:
        line = self.rng.choice(
            (b"Transfer-Encoding: identity", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: chunked, chunked",
             b"Transfer-Encoding : chunked", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
             b"Transfer-Encoding:", b"Transfer-Encoding: ,", b"\x20Transfer-Encoding: chunked")
        )  # fmt: skip
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(self.body), self.body)
        return self.exchange(self.start + line + b"\r\n\r\n" + chunks, "refused_or_closed", None)

    def content_coding(self) -> Exchange:
        packed = {
            b"gzip": gzip.compress(self.body),
            b"deflate": zlib.compress(self.body),
            b"br": self.body,
            b"zstd": self.body,
            b"x": b"",
            b"gzip, gzip": self.body,
        }
        name, data = self.rng.choice(list(packed.items()))
        if self.rng.random() < 0.2:
            data = zlib.compress(b" " * 5_000_000)
        raw = self.start + b"Content-Encoding: %s\r\n" % name + self._length(len(data)) + data
        return self.exchange(raw, "refused_or_closed", None)

    def media_type(self) -> Exchange:
        name = self.rng.choice(("text/xml", "application/json", "", "application/sep-exi", "application/sep+xml;;;", "a" * 4000, "/", "application/sep+xml\x0b",
                                "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", 'application/sep+xml; charset="utf-16', "\xff"))  # fmt: skip
        raw = self.start.replace(b"application/sep+xml", name.encode("latin-1")) + self._length() + self.body
        return self.exchange(raw, "answered_or_closed", self.body)

    def expectation(self) -> Exchange:
        name = self.rng.choice((b"100-continue", b"nothing", b"100-continue, 100-continue", b""))
        return self.exchange(self.start + b"Expect: " + name + b"\r\n" + self._length() + self.body, "answered", self.body)

    def upgrade(self) -> Exchange:
        name = self.rng.choice((b"websocket", b"h2c", b"TLS/1.0", b"x"))
        raw = self.start + b"Connection: Upgrade\r\nUpgrade: " + name + b"\r\n" + self._length() + self.body
        return self.exchange(raw, "answered_or_closed", None)

    def target(self) -> Exchange:
        path = self.path.encode()
        name = self.rng.choice((b"*", b"", b"localhost:443", b"https://localhost" + path, b"http://other:1" + path, path + b"#x", b"//" + path, b"https://",
                                b"user:pw@h" + path, path + b" x", b"\\mup", b"?", path + b"\x00", path + b"\xff", b"https://[::1" + path, b"javascript:1",
                                b"https://a:99999" + path, b"https://[v]/"))  # fmt: skip
        return self.exchange(
            b"POST " + name + b" HTTP/1.1\r\nHost: x\r\n" + _SEP + self._length() + self.body, "answered_or_closed", self.body
        )

    def conditions(self) -> Exchange:
        names = (
            "If-None-Match",
            "If-Match",
            "If-Modified-Since",
            "Range",
            "Accept",
            "Cookie",
            "X-Forwarded-For",
            "X-HTTP-Method-Override",
            "TE",
            "Forwarded",
            "Date",
        )
        values = (
            "*",
            '"x"',
            'W/"' + "a" * 3000 + '"',
            "bytes=0-",
            "bytes=-1,-2," * 100,
            "text/html;q=2",
            "a=b;" * 500,
            "DELETE",
            ",,,,",
            "Thu, 99 Xyz 9999",
        )
        extra = "".join(
            f"{self.rng.choice(names)}: {self.rng.choice(values)}\r\n" for _ in range(self.rng.randrange(1, 5))
        ).encode()
        path = self.rng.choice(("/dcap", "/tm", "/edev?l=3", self.path, "/derp"))
        return Exchange("", self.device, [request("GET", path, extra=extra)], [Sent("GET", path)], "served")

    def pipelined(self) -> Exchange:
        bodies = [readings(self.rng, self.meter) for _ in range(self.rng.randrange(2, 30))]
        raw = b"".join(request("POST", self.path, body) for body in bodies)
        return Exchange("", self.device, [raw], [Sent("POST", self.path, body) for body in bodies], "served")

    def pipelined_nonsense(self) -> Exchange:
        good = request("POST", self.path, self.body)
        raw = good * 2 + self.rng.randbytes(30) + b"\r\n\r\n" + good
        # What comes in one piece with nonsense may be thrown away with it, unacknowledged.
        return Exchange("", self.device, [raw], [Sent("POST", self.path, self.body)] * 2, "answered_or_closed", fresh=True)

    def left_early(self) -> Exchange:
        raw = self.start + self._length() + self.body
        return Exchange(
            "",
            self.device,
            [raw[: self.rng.randrange(len(raw) + 1)]],
            [Sent("POST", self.path, self.body)],
            "nothing",
            leave=True,
            fresh=True,
        )

    def in_pieces(self) -> Exchange:
        raw = self.start + self._length() + self.body
        cuts = sorted({0, len(raw), *(self.rng.randrange(len(raw)) for _ in range(self.rng.randrange(1, 12)))})
        pieces = [raw[a:b] for a, b in itertools.pairwise(cuts)]
        return Exchange("", self.device, pieces, [Sent("POST", self.path, self.body)], "served")

    def byte_by_byte(self) -> Exchange:
        raw = self.start + self._length() + self.body
        step = self.rng.choice((1, 3, 7))
        pieces = [raw[a : a + step] for a in range(0, len(raw), step)]
        return Exchange("", self.device, pieces, [Sent("POST", self.path, self.body)], "answered")

    def bare_line_feeds(self) -> Exchange:
        raw = (self.start + self._length()).replace(b"\r\n", self.rng.choice((b"\n", b"\r", b"\n\r"))) + self.body
        return self.exchange(raw, "answered_or_closed", self.body)

    def head_unfinished(self) -> Exchange:
        return self.exchange(self.start + b"X: ", "refused_or_closed", None)

    def noise(self) -> Exchange:
        raw = self.rng.choice(
            (
                self.rng.randbytes(200),
                b"\r\n" * 2000,
                b"\x16\x03\x01\x02\x00\x01",
                b"SSH-2.0-x\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"\x00" * 9000,
            )
        )
        return self.exchange(raw + b"\r\n\r\n", "refused_or_closed", None)

    def _length(self, size: int | None = None) -> bytes:
        return b"Content-Length: %d\r\n\r\n" % (len(self.body) if size is None else size)


FRAMINGS: dict[str, Callable[[Framing], Exchange]] = {
    name: make for name, make in vars(Framing).items() if callable(make) and not name.startswith("_") and name != "exchange"
}
SLOW = frozenset({"byte_by_byte", "length_long", "head_unfinished"})
"""These take the server's patience or much of its time, so they come more rarely."""
