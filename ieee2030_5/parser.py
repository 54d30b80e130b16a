"""A hardened XML parser for what devices send, and the errors of reading XML."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection

from lxml import etree

from ieee2030_5.namespaces import DRAFT, SEP

NAMESPACES = (SEP, DRAFT)
"""Namespaces of standard documents: devices built on the draft schema still send its own."""
MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_ENCODING = re.compile(rb"""^<\?xml[^>]*?\sencoding\s*=\s*["']([^"']*)["']""")
# Any markup declaration (DOCTYPE, ENTITY, ELEMENT...) that is neither a comment nor CDATA.
_MARKUP_DECLARATION = re.compile(rb"<!(?!--|\[CDATA\[)")
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")


class XmlError(ValueError):
    """A document that cannot be used. Messages are for logs and quote little of the input."""


class MalformedXml(XmlError):
    """Not a well-formed document this profile accepts; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownNamespace(XmlError):
    """The root element is not in a namespace that is accepted there."""


class InvalidResource(XmlError):
    """A value the resource's type does not allow; `element` is the path to it, `detail` what is wrong."""

    def __init__(self, element: str, detail: str) -> None:
        super().__init__(f"{element}: {detail}")
        self.element = element
        self.detail = detail


def parse(body: bytes, *, max_bytes: int = MAX_BYTES, namespaces: Collection[str] = NAMESPACES) -> etree._Element:
    """Parse a document from a device and return its root element.

    UTF-8 only, no DTD of any kind (hence no entities), no network, at most `max_bytes` bytes and `MAX_DEPTH` levels.
    Comments and processing instructions are dropped. The root element must be in one of `namespaces`; an extension's is
    accepted only where the caller names it. Raises `MalformedXml` or `UnknownNamespace`.
    """
    if len(body) > max_bytes:
        raise MalformedXml(f"document of {len(body)} bytes, limit {max_bytes}")
    _check_text(body)
    try:
        root = etree.fromstring(body, _parser())
    except etree.XMLSyntaxError as error:
        raise MalformedXml(str(error.msg or "not well-formed")[:200]) from None
    if _TOO_DEEP(root):
        raise MalformedXml(f"more than {MAX_DEPTH} levels of elements")
    namespace = etree.QName(root).namespace
    if namespace not in namespaces:
        raise UnknownNamespace(f"namespace {str(namespace)[:64]!r} is not one of {', '.join(namespaces)}")
    return root


class _Local(threading.local):
    parser: etree.XMLParser | None = None


_local = _Local()


def _parser() -> etree.XMLParser:
    """This thread's parser: making one takes as long as using it, and a shared one would serialise threads."""
    parser = _local.parser
    if parser is None:
        parser = _local.parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False,
            recover=False, remove_comments=True, remove_pis=True, encoding="utf-8",
        )  # fmt: skip
    return parser


def _check_text(body: bytes) -> None:
    if not body or body.isspace():
        raise MalformedXml("empty document")
    if b"\x00" in body:
        raise MalformedXml("holds NUL bytes: UTF-16, UTF-32 or binary")
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedXml(f"not UTF-8 at byte {error.start}") from None
    declared = _ENCODING.match(body.removeprefix(b"\xef\xbb\xbf"))
    if declared and declared[1].upper() not in (b"UTF-8", b"US-ASCII"):
        raise MalformedXml(f"declares encoding {declared[1][:32]!r}, not UTF-8")
    if b"<!" in body and _MARKUP_DECLARATION.search(body):
        raise MalformedXml("holds a DOCTYPE or another markup declaration")


def local_name(element: etree._Element) -> str:
    """Name of an element without its namespace."""
    return element.tag.rpartition("}")[2]
