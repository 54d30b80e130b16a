"""XML of IEEE 2030.5: a hardened parser, and the codec between elements and resources.

Written documents hold the default namespace only, elements in the schema's order, nothing that is None and no empty
simple element: common clients drop the connection at any of these. Read documents may hold unknown or foreign elements
(vendor extensions), any order, and either namespace of `NAMESPACES`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from lxml import etree

from ieee2030_5.resources.fields import mappings
from ieee2030_5.resources.types import SimpleType

NAMESPACE = "urn:ieee:std:2030.5:ns"
# Devices built on the draft schema still send its namespace; the metering, time and event types did not change since.
NAMESPACES = (NAMESPACE, "http://ieee.org/2030.5")
MEDIA_TYPE = "application/sep+xml"
MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_ENCODING = re.compile(rb"""^<\?xml[^>]*?\sencoding\s*=\s*["']([^"']*)["']""")
# Any markup declaration (DOCTYPE, ENTITY, ELEMENT...) that is neither a comment nor CDATA.
_MARKUP_DECLARATION = re.compile(rb"<!(?!--|\[CDATA\[)")
_ESCAPED = re.compile('[&<>"\t\n\r]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")

T = TypeVar("T")


class XmlError(ValueError):
    """A document that cannot be used. Messages are for logs and quote little of the input."""


class MalformedXml(XmlError):
    """Not a well-formed document this profile accepts; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownNamespace(XmlError):
    """The root element is not in a namespace of IEEE 2030.5."""


class InvalidResource(XmlError):
    """A value the resource's type does not allow; `element` is the path to it, `detail` what is wrong."""

    def __init__(self, element: str, detail: str) -> None:
        super().__init__(f"{element}: {detail}")
        self.element = element
        self.detail = detail


def parse(body: bytes, *, max_bytes: int = MAX_BYTES) -> etree._Element:
    """Parse a document from a device and return its root element.

    UTF-8 only, no DTD of any kind (hence no entities), no network, at most `max_bytes` bytes and `MAX_DEPTH` levels.
    Comments and processing instructions are dropped. Raises `MalformedXml` or `UnknownNamespace`.
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
    if namespace not in NAMESPACES:
        raise UnknownNamespace(f"namespace {namespace!r} is not one of {', '.join(NAMESPACES)}")
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


class _Child(NamedTuple):
    field: str
    name: str
    type: SimpleType | type
    many: bool
    start: str
    end: str


class _Known(NamedTuple):
    """What reading an element needs of its `_Child`; `read` is None where the element holds others."""

    field: str
    name: str
    read: Callable[[str], Any] | None
    type: Any
    many: bool


class _Plan(NamedTuple):
    name: str
    attributes: tuple[tuple[str, str, SimpleType], ...]
    children: tuple[_Child, ...]
    by_tag: dict[str, _Known]


_plans: dict[type, _Plan] = {}


def _plan(cls: type) -> _Plan:
    attributes: list[tuple[str, str, SimpleType]] = []
    nested: list[_Child] = []
    for field, mapping in mappings(cls):
        if mapping.is_attribute and isinstance(mapping.type, SimpleType):
            attributes.append((field, mapping.name, mapping.type))
        else:
            nested.append(_Child(field, mapping.name, mapping.type, mapping.many, f"<{mapping.name}>", f"</{mapping.name}>"))
    known = [_Known(c.field, c.name, c.type.read if isinstance(c.type, SimpleType) else None, c.type, c.many) for c in nested]
    by_tag = {f"{{{namespace}}}{child.name}": child for namespace in NAMESPACES for child in known}
    plan = _plans[cls] = _Plan(cls.__name__, tuple(attributes), tuple(nested), by_tag)
    return plan


def encode(resource: Any) -> bytes:
    """Write a resource as a document, named after its class. Raises `InvalidResource` for a value its type does not allow."""
    out = [_DECLARATION]
    _write(out, type(resource).__name__, resource, f' xmlns="{NAMESPACE}"')
    return "".join(out).encode()


def _write(out: list[str], name: str, resource: Any, extra: str = "") -> None:
    cls = type(resource)
    plan = _plans.get(cls) or _plan(cls)
    start = f"<{name}{extra}"
    child = ""
    try:
        for field, child, simple in plan.attributes:
            value = getattr(resource, field)
            if value is not None and (text := simple.write(value)) is not None:
                start += f' {child}="{_escape(text) if simple.escape else text}"'
        out.append(start)
        at = len(out)
        for field, child, kind, many, opening, closing in plan.children:
            value = getattr(resource, field)
            if value is None:
                continue
            if isinstance(kind, SimpleType):
                text = kind.write(value)
                if text is not None:
                    out.append(f"{opening}{_escape(text) if kind.escape else text}{closing}")
            elif many:
                for item in value:
                    _write(out, child, item)
            else:
                _write(out, child, value)
    except InvalidResource as error:
        raise InvalidResource(f"{name}/{error.element}", error.detail) from None
    except ValueError as error:
        raise InvalidResource(f"{name}/{child}", str(error)) from None
    if len(out) == at:
        out.append("/>")
    else:
        out[at - 1] += ">"
        out.append(f"</{name}>")


def _escape(text: str) -> str:
    return _ESCAPED.sub(lambda match: _ESCAPES[match[0]], text)


def decode(element: etree._Element, cls: type[T]) -> T:
    """Read an element as a resource of class `cls`.

    Unknown and foreign elements and attributes are ignored, and no element is required. Raises `InvalidResource` for
    another root element, a value its type does not allow, or a single element given twice.
    """
    plan = _plans.get(cls) or _plan(cls)
    if element.tag not in [f"{{{namespace}}}{plan.name}" for namespace in NAMESPACES]:
        raise InvalidResource(local_name(element), f"expected {plan.name}")
    return _read(element, cls, plan.name)


def _read(element: etree._Element, cls: type[T], name: str) -> T:
    plan = _plans.get(cls) or _plan(cls)
    values: dict[str, Any] = {}
    place = ""
    try:
        if element.keys():
            for field, place, simple in plan.attributes:
                text = element.get(place)
                if text is not None:
                    values[field] = simple.read(text)
        for child in element:
            known = plan.by_tag.get(child.tag)
            if known is None:
                continue
            field, place, read, kind, many = known
            if many:
                values.setdefault(field, []).append(_read(child, kind, place))
            elif field in values:
                raise ValueError("given more than once")
            elif read is not None:
                if len(child):
                    raise ValueError("holds elements where a value is expected")
                values[field] = read(child.text or "")
            else:
                values[field] = _read(child, kind, place)
    except InvalidResource as error:
        raise InvalidResource(f"{name}/{error.element}", error.detail) from None
    except ValueError as error:
        raise InvalidResource(f"{name}/{place}", str(error)) from None
    return cls(**values)
