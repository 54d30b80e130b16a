"""Ways to spoil a document, each a function of a random source and the document's bytes."""

from __future__ import annotations

import copy
import gzip
from collections.abc import Callable
from functools import wraps
from random import Random

from lxml import etree

SEP = "urn:ieee:std:2030.5:ns"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
NUMBERS = (
    "-1", "256", "65536", "4294967296", "140737488355327", "140737488355328", "-140737488355328", "281474976710656",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551616",
    "1" + "0" * 18, "9" * 21, "9" * 5000, "-0", "+1", "1e9", "1.5", "NaN", "INF", "0x10", "1_000", "\u0661", " 7 ", "",
)  # fmt: skip
WORDS = (
    "2026-11-22T00:00:00Z", "1970-01-01", "true", "FALSE", "null", "0G", "F" * 41, "a" * 33, "\u00e9" * 20, "\U0001f600" * 9, "x" * 100_000,
    "/../../etc/passwd", "https://127.0.0.1:1/", "' OR 1=1 --", "${jndi:ldap://127.0.0.1/x}", "%s%n%s", "\u202e", "\ufffd", "&amp;lt;", "]]&gt;",
)  # fmt: skip

Mutation = Callable[[Random, bytes], bytes]


def _place(rng: Random, body: bytes) -> int:
    return rng.randrange(len(body) + 1)


def bit_flips(rng: Random, body: bytes) -> bytes:
    changed = bytearray(body or b"<")
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncated(rng: Random, body: bytes) -> bytes:
    return body[: _place(rng, body)]


def cut_out(rng: Random, body: bytes) -> bytes:
    start = _place(rng, body)
    return body[:start] + body[start + rng.randrange(1, 40) :]


def repeated(rng: Random, body: bytes) -> bytes:
    start = _place(rng, body)
    piece = body[start : start + rng.randrange(1, 80)]
    return body[:start] + piece * rng.choice((2, 3, 50)) + body[start + len(piece) :]


def noise_inserted(rng: Random, body: bytes) -> bytes:
    start = _place(rng, body)
    return body[:start] + rng.randbytes(rng.randrange(1, 20)) + body[start:]


def noise(rng: Random, body: bytes) -> bytes:
    return rng.randbytes(rng.randrange(400))


def other_format(rng: Random, body: bytes) -> bytes:
    return rng.choice(
        (
            b"",
            b" \r\n\t",
            b"{}",
            b"[1]",
            b"<html><body>",
            b"$EXI\x80\x00",
            gzip.compress(body),
            b"<",
            b"<>",
            b"\xef\xbb\xbf",
            b"a=b",
        )
    )


def joined(rng: Random, body: bytes) -> bytes:
    return rng.choice((body + body, body + b"junk", b"junk" + body, body + b"<a/>", b"\n" + body, body + b"\x00"))


def _on_tree(change: Callable[[Random, etree._Element, list[etree._Element]], None]) -> Mutation:
    @wraps(change)
    def mutation(rng: Random, body: bytes) -> bytes:
        root = etree.fromstring(body)
        change(rng, root, [element for element in root.iter("*") if element is not root] or [root])
        return etree.tostring(root, encoding="utf-8")

    return mutation


@_on_tree
def element_removed(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    element = rng.choice(elements)
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


@_on_tree
def element_doubled(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    element = rng.choice(elements)
    if element is not root:
        for _ in range(rng.choice((1, 1, 300))):
            element.addnext(copy.deepcopy(element))


@_on_tree
def elements_swapped(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    one, other = rng.choice(elements), rng.choice(elements)
    one.tag, other.tag = other.tag, one.tag


@_on_tree
def element_moved(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    element = rng.choice(elements)
    inside = set(element.iter())
    places = [place for place in root.iter("*") if place not in inside]
    if places:
        rng.choice(places).append(element)


@_on_tree
def element_renamed(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    name = rng.choice(("value", "mRID", "Reading", "href", "Nothing", "href.x", "_", "EndDevice", "MirrorMeterReading"))
    rng.choice([root, *elements]).tag = f"{{{SEP}}}{name}"


@_on_tree
def number_changed(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    numeric = [e for e in elements if not len(e) and (e.text or "").lstrip("-").isdigit()] or [e for e in elements if not len(e)]
    if numeric:
        rng.choice(numeric).text = rng.choice(NUMBERS)


@_on_tree
def word_changed(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    leaves = [e for e in elements if not len(e)]
    if leaves:
        rng.choice(leaves).text = rng.choice(WORDS)


@_on_tree
def attribute_added(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    name = rng.choice(("href", "all", "results", "subscribable", "pollRate", "replyTo", "responseRequired", "colour"))
    rng.choice([root, *elements]).set(name, rng.choice((*NUMBERS, *WORDS[:10])))


@_on_tree
def many_attributes(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    element = rng.choice(elements)
    for number in range(rng.choice((50, 400))):
        element.set(f"a{number}", "1")


@_on_tree
def value_with_elements(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    etree.SubElement(rng.choice(elements), f"{{{SEP}}}value").text = "1"


@_on_tree
def type_named(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    named = rng.choice(
        ("Link", "DERControl", "Error", "MirrorUsagePoint", "xs:string", ":", "a:b:c", "", "../x", "DrResponse", "x" * 5000)
    )
    rng.choice([root, *elements]).set(f"{{{XSI}}}type", named)


@_on_tree
def nil(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    element = rng.choice(elements)
    element.text = None
    element.set(f"{{{XSI}}}nil", "true")


@_on_tree
def comment_or_instruction(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    element = rng.choice([root, *elements])
    added = rng.choice(
        (
            etree.Comment("c"),
            etree.Comment("<value>1</value>"),
            etree.PI("php", "x"),
            etree.PI("xml-stylesheet", 'href="file:///x"'),
        )
    )
    added.tail = rng.choice((None, "1"))
    element.insert(rng.randrange(len(element) + 1), added)


@_on_tree
def many_elements(rng: Random, root: etree._Element, elements: list[etree._Element]) -> None:
    name = rng.choice(("MirrorMeterReading", "Nothing", "Reading", "value"))
    for _ in range(rng.choice((500, 4000))):
        etree.SubElement(root, f"{{{SEP}}}{name}")


def cdata(rng: Random, body: bytes) -> bytes:
    root = etree.fromstring(body)
    leaves = [e for e in root.iter("*") if not len(e) and e.text]
    if leaves:
        leaf = rng.choice(leaves)
        leaf.text = etree.CDATA(rng.choice((leaf.text, "<value>1</value>", "1" * 30)))
    return etree.tostring(root, encoding="utf-8")


def namespaces(rng: Random, body: bytes) -> bytes:
    old, name = (
        f'xmlns="{SEP}"'.encode(),
        rng.choice(("http://ieee.org/2030.5", "", "urn:other", SEP.upper(), f"{SEP} ", "https://csipaus.org/ns", "http://\xff")),
    )
    if rng.random() < 0.3:
        return body.replace(b"</", b"</s:").replace(b"<", b"<s:").replace(b"<s:/s:", b"</s:").replace(b"xmlns=", b"xmlns:s=")
    return body.replace(old, f'xmlns="{name}"'.encode() if name else b"")


def declaration(rng: Random, body: bytes) -> bytes:
    heads = (
        'version="1.1"',
        'version="1.0" encoding="UTF-8"',
        'version="1.0" standalone="no"',
        "version='1.0' encoding='utf8'",
        "",
        'encoding="x"',
    )
    head = f"<?xml {rng.choice(heads)}?>".encode()
    return head * rng.choice((1, 1, 2)) + body


def declared_encoding(rng: Random, body: bytes) -> bytes:
    name = rng.choice(("UTF-7", "ISO-8859-1", "UTF-16", "EBCDIC-CP-US", "big5", "nothing", "UTF-32LE", "hz"))
    return f'<?xml version="1.0" encoding="{name}"?>'.encode() + body


def transcoded(rng: Random, body: bytes) -> bytes:
    return body.decode().encode(rng.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp037")))


def nul(rng: Random, body: bytes) -> bytes:
    start = _place(rng, body)
    return body[:start] + b"\x00" + body[start:]


def entity(rng: Random, body: bytes) -> bytes:
    name = rng.choice(("&undefined;", "&#0;", "&#xD800;", "&#x110000;", "&#99999999999;", "&;", "&#x;", "&lt", "& "))
    return body.replace(b"</", name.encode() + b"</", 1) if b"</" in body else name.encode() + body


def doctype(rng: Random, body: bytes) -> bytes:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    text = rng.choice(
        (
            "<!DOCTYPE a>",
            '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">',
            '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
            '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p">%p;]>',
            f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]>',
            f'<!DOCTYPE a [<!ENTITY q "{"A" * 50_000}">]>',
            '<!DOCTYPE a [<!ATTLIST a b CDATA "1">]>',
            "<!ELEMENT a ANY>",
        )
    )
    used = rng.choice((b"&x;", b"&l9;", b"&q;" * 1000, b""))
    return text.encode() + (body.replace(b"</", used + b"</", 1) if used else body)


def deep(rng: Random, body: bytes) -> bytes:
    levels = rng.choice((33, 40, 255, 256, 257, 5000, 30_000))
    return f'<a xmlns="{SEP}">'.encode() + b"<a>" * (levels - 1) + b"</a>" * rng.choice((levels, levels - 1, 0))


_KINDS: tuple[Mutation, ...] = (
    bit_flips, truncated, cut_out, repeated, noise_inserted, noise, other_format, joined, cdata, namespaces, declaration, declared_encoding, entity,
    element_removed, element_doubled, elements_swapped, element_moved, element_renamed, number_changed, word_changed, attribute_added,
    many_attributes, many_elements, value_with_elements, type_named, nil, comment_or_instruction,
)  # fmt: skip
SPOILED: dict[str, Mutation] = {mutation.__name__: mutation for mutation in _KINDS}
HOSTILE: dict[str, Mutation] = {"transcoded": transcoded, "nul": nul, "doctype": doctype, "deep": deep}
"""What must be refused, whatever the document was."""
