"""The requests of a drill: each is made of the seed and its number alone, but for the addresses of what was created meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from urllib.parse import quote

from documents import LISTS, Meter, address, mirror, of_class, readings, templates, write
from http_mutations import FRAMINGS, SLOW, Framing, request
from lxml.etree import XMLSyntaxError
from wire import Exchange, Expected, Sent
from xml_mutations import HOSTILE, SPOILED

from ieee2030_5.function_sets import NODES

METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW")
MAX_BODY = 256 * 1024
_READ = ("GET", "HEAD")
_ODD = (
    "..", "%2e%2e", "..%2f..%2fetc", "%00", "%ff", "%c0%ae", "%u0041", "\u00e9", "\U0001f600", "a" * 41, "a" * 7000, "a.b", "a%20b", "%0d%0aX: 1", "%2F", "1%3Fl=2",
    "1;v=1", "-", "_", "*", "0x1", "01", "9" * 40, "%ED%A0%80", "{edev}", "%7Bedev%7D", "'", "%22", "<b>", "~", "1%", "%g1", "CON", "%e2%80%ae",
)  # fmt: skip
_QUERIES = (
    "s=-1", "l=-1", "a=-1", "s=4294967296", "l=" + "9" * 100, "s=", "l=\u0663", "l=%D9%A3", "s=1%20", "l=1e3", "l=%00", "l=%ff", "s=0x1", "a=NaN", "l=1.0",
    "s=0&s=1", "l=1&l=-1", "s[]=1", "&&&", "=", "l", "s=1;l=2", "s=+1", "a=4294967295", "l=0", "l=255", "s=4294967295&l=4294967295", "x=" + "y" * 5000,
    "&".join(f"p{n}=1" for n in range(800)), "s=0&l=3&a=0", "%6c=2", "l=2#l=x", "?l=2", "l=%", "l=%2", "l=2%26s=1",
)  # fmt: skip


class Requests:
    """Makes the exchange of a number. `created` are addresses that the server gave, by device; whoever runs the drill adds to them."""

    def __init__(self, seed: int, meters: dict[str, Meter]) -> None:
        self._seed, self._meters = seed, meters
        self.created: dict[str, list[str]] = {name: [] for name in meters}
        self._paths = templates()
        kinds: list[tuple[int, Callable[[Random], Exchange]]] = [
            (44, self._spoiled), (18, self._framed), (13, self._addressed), (6, self._queried), (7, self._written), (4, self._foreign), (4, self._by_role),
            (1, self._sized), (2, self._refused_role), (1, self._created_again),
        ]  # fmt: skip
        self._kinds, self._weights = [make for _, make in kinds], [weight for weight, _ in kinds]

    def make(self, number: int) -> Exchange:
        rng = Random(f"{self._seed}/{number}")
        return rng.choices(self._kinds, self._weights)[0](rng)

    def _meter(self, rng: Random) -> str:
        return rng.choice(("METER_A", "METER_A", "METER_B", "AUSTRALIAN"))

    def _post(
        self,
        category: str,
        device: str,
        method: str,
        path: str,
        body: bytes,
        expected: Expected = "answered",
        media: str = "application/sep+xml",
    ) -> Exchange:
        body = body if method not in ("GET", "HEAD", "DELETE") else b""
        lands = body if method != "DELETE" else b""
        return Exchange(category, device, [request(method, path, body, media=media)], [Sent(method, path, lands)], expected)

    def _spoiled(self, rng: Random) -> Exchange:
        device = rng.choice(("METER_A", "METER_A", "METER_B", "AUSTRALIAN", "OPERATOR"))
        method, path, body = write(rng, self._meters[device], operator=device == "OPERATOR")
        if rng.random() < 0.15:
            name = rng.choice(list(HOSTILE))
            return self._post(f"xml {name}", device, method, path, HOSTILE[name](rng, body), "refused")
        names = [rng.choice(list(SPOILED)) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        for name in names:
            try:
                body = SPOILED[name](rng, body)
            except (XMLSyntaxError, ValueError):
                # Spoiled already, beyond what this one can read.
                break
        return self._post(f"xml {names[0]}", device, method, path, body)

    def _framed(self, rng: Random) -> Exchange:
        names = list(FRAMINGS)
        name = rng.choices(names, [1 if one in SLOW else 12 for one in names])[0]
        device = self._meter(rng)
        exchange = FRAMINGS[name](Framing(rng, device, self._meters[device]))
        exchange.category = f"http {name}"
        return exchange

    def _addressed(self, rng: Random) -> Exchange:
        device = rng.choice((*("METER_A", "METER_B", "AUSTRALIAN"), "OPERATOR", "AUDITOR", "AGGREGATOR"))
        meter = self._meters[device]
        parts = (
            address(rng, rng.choice(self._paths), meter).replace("{mup}", meter.mirror).replace("{upt}", meter.mirror).split("/")
        )
        kind = rng.randrange(6)
        if kind == 0:
            parts[rng.randrange(1, len(parts))] = rng.choice(_ODD)
        elif kind == 1:
            parts.insert(rng.randrange(1, len(parts) + 1), rng.choice((*_ODD, "", ".", "1")))
        elif kind == 2:
            at = rng.randrange(1, len(parts))
            parts[at] = rng.choice(
                (
                    parts[at].upper(),
                    parts[at] + rng.choice(_ODD),
                    "".join(f"%{ord(c):02x}" for c in parts[at]),
                    quote(quote(parts[at] + "/")),
                )
            )
        elif kind == 3:
            parts.append("")
        path = "/".join(parts)
        method = rng.choice(METHODS)
        if method == "DELETE" and len(parts) < 4:
            method = "GET"
        body = readings(rng, meter) if method in ("PUT", "POST", "PATCH") else b""
        raw = f"{method} {path} HTTP/1.1\r\nHost: x\r\n".encode()
        raw += b"Content-Type: application/sep+xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body if body else b"\r\n"
        return Exchange(
            f"path {('odd', 'added', 'changed', 'slash', 'plain', 'plain')[kind]}",
            device,
            [raw],
            [Sent(method, path, None)],
            "answered_or_closed",
        )

    def _queried(self, rng: Random) -> Exchange:
        device = rng.choice(("METER_A", "OPERATOR", "AUDITOR"))
        path = address(rng, rng.choice(LISTS), self._meters[device])
        query = "&".join(rng.choice(_QUERIES) for _ in range(rng.choice((1, 1, 2))))
        target = f"{path}?{query}"
        return Exchange("query", device, [request("GET", target)], [Sent("GET", target)], "answered_or_closed")

    def _written(self, rng: Random) -> Exchange:
        """Good documents, so that what is there to be read grows, and values at the ends of their ranges are met by readers."""
        device = self._meter(rng)
        meter = self._meters[device]
        if rng.random() < 0.5:
            body = mirror(rng, meter) if rng.random() < 0.1 else readings(rng, meter)
            return self._post(
                "good readings", device, "POST", "/mup" if b"MirrorUsagePoint" in body else f"/mup/{meter.mirror}", body, "served"
            )
        device = rng.choice((device, "OPERATOR"))
        return self._post("good resource", device, *write(rng, self._meters[device], operator=device == "OPERATOR"))

    def _created_again(self, rng: Random) -> Exchange:
        """Reads, writes and deletes what was created before."""
        device = self._meter(rng)
        known = self.created[device]
        path = rng.choice(known) if known else "/dcap"
        method = rng.choice(("GET", "GET", "HEAD", "PUT", "DELETE")) if path.count("/") > 2 else "GET"
        body = b""
        if method == "PUT":
            node = next((node for node in NODES if node.pattern.fullmatch(path) and not node.is_list), None)
            from ieee2030_5.xml import encode

            body = (
                encode(of_class(rng, node.cls, self._meters[device])) if node is not None else readings(rng, self._meters[device])
            )
        return self._post("created item", device, method, path, body)

    def _foreign(self, rng: Random) -> Exchange:
        """Another device's subtree, mirror or usage point: never there, whatever is asked."""
        device, other = rng.choice(
            (("METER_A", "METER_B"), ("METER_B", "METER_A"), ("AGGREGATOR", "METER_A"), ("METER_A", "OPERATOR"))
        )
        theirs = self._meters[other]
        path = rng.choice([p for p in self._paths if p.startswith(("/edev/{edev}", "/mup/", "/upt/"))])
        path = address(rng, path, theirs).replace("{mup}", theirs.mirror).replace("{upt}", theirs.mirror)
        method = rng.choice(METHODS[:5])
        if path.startswith(("/mup/", "/upt/")):
            path = "/".join([*path.split("/")[:2], theirs.mirror, *path.split("/")[3:]])
        return self._post("foreign", device, method, path, readings(rng, self._meters[device]), "refused")

    def _by_role(self, rng: Random) -> Exchange:
        device = rng.choice(("OPERATOR", "AUDITOR", "AGGREGATOR"))
        about = self._meters[rng.choice(("METER_B", device))]
        path = address(rng, rng.choice(self._paths), about).replace("{mup}", about.mirror).replace("{upt}", about.mirror)
        if device == "AUDITOR" and rng.random() < 0.5:
            return self._post(
                "role auditor writes",
                device,
                rng.choice(("PUT", "POST", "DELETE")),
                path,
                readings(rng, self._meters[device]),
                "refused",
            )
        return self._post(f"role {device.lower()} reads", device, rng.choice(_READ), f"{path}?l=50", b"")

    def _refused_role(self, rng: Random) -> Exchange:
        device = rng.choice(("STRANGER", "SUSPENDED"))
        path = address(rng, rng.choice(self._paths), self._meters[rng.choice((device, "METER_A"))])
        return self._post(
            f"role {device.lower()}", device, rng.choice(METHODS[:5]), path, readings(rng, self._meters[device]), "refused"
        )

    def _sized(self, rng: Random) -> Exchange:
        device = self._meter(rng)
        path = f"/mup/{self._meters[device].mirror}"
        size = MAX_BODY + rng.choice((-1, 0, 1, 10_000, 1_000_000))
        body = readings(rng, self._meters[device])
        body += b" " * (size - len(body))
        if rng.random() < 0.5:
            return Exchange(
                "size declared",
                device,
                [request("POST", path, body)],
                [Sent("POST", path, body)],
                "served" if size <= MAX_BODY else "refused_or_closed",
            )
        chunk = rng.choice((60_000, 4_000))
        chunks = (
            b"".join(b"%x\r\n%s\r\n" % (len(body[a : a + chunk]), body[a : a + chunk]) for a in range(0, size, chunk))
            + b"0\r\n\r\n"
        )
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/sep+xml\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        return Exchange(
            "size chunked",
            device,
            [head + chunks],
            [Sent("POST", path, body)],
            "served" if size <= MAX_BODY else "refused_or_closed",
            fresh=True,
        )
