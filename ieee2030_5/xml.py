"""XML of IEEE 2030.5: the codec between elements and resources, with the parser of `parser`.

Written documents hold the default namespace only, elements in the schema's order, nothing that is None and no empty
simple element: common clients drop the connection at any of these. Elements of an extension (CSIP-AUS) are written only
to those who ask for it. Read documents may hold unknown or foreign elements (vendor extensions), any order, and the
names of the draft schema in its namespace.

Documents start with their root element, in UTF-8: XML 1.0 (2.8) asks for no declaration, and clients that hold a document as text
before they parse it fail on one that names an encoding.

A document can be kept as a fragment, its root element without namespace; `document` and `list_document`
make documents of fragments without reading them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from lxml import etree

from ieee2030_5.namespaces import CSIP_AUS, DRAFT, P2P, PREFIXES, SEP, XSI
from ieee2030_5.parser import (
    MAX_BYTES,
    MAX_DEPTH,
    NAMESPACES,
    InvalidResource,
    MalformedXml,
    UnknownNamespace,
    XmlError,
    local_name,
    parse,
)
from ieee2030_5.plans import ReadPlans, WritePlans

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MEDIA_TYPE",
    "NAMESPACE",
    "NAMESPACES",
    "InvalidResource",
    "MalformedXml",
    "UnknownNamespace",
    "XmlError",
    "decode",
    "document",
    "encode",
    "encode_fragment",
    "list_document",
    "local_name",
    "namespace_of",
    "parse",
]

NAMESPACE = SEP
MEDIA_TYPE = "application/sep+xml"

_ROOT = re.compile(r"<([A-Za-z_][\w.-]*)")
_ESCAPED = re.compile('[&<>"\t\n\r]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_NOTHING: frozenset[str] = frozenset()

T = TypeVar("T")


def namespace_of(cls: type) -> str:
    """The namespace that documents of a class are in: the standard's, or the extension's that defines the class."""
    return getattr(cls, "xml_namespace", NAMESPACE)


_standard = WritePlans(_NOTHING)
_writing: dict[frozenset[str], WritePlans] = {_NOTHING: _standard}
_reading = {
    SEP: ReadPlans(SEP, DRAFT),
    DRAFT: ReadPlans(DRAFT, SEP),
    CSIP_AUS: ReadPlans(CSIP_AUS),
    P2P: ReadPlans(P2P),
}


def encode(resource: Any, extensions: Iterable[str] = _NOTHING) -> bytes:
    """Write a resource as a document, named after its class, with the elements of the named extensions only.

    `extensions` are namespaces of `namespaces.PREFIXES`. Raises `InvalidResource` for a value its type does not allow,
    `ValueError` for an unknown extension.
    """
    namespace = namespace_of(type(resource))
    if extensions:
        return document(encode_fragment(resource, extensions), namespace)
    out: list[str] = []
    _write(out, type(resource).__name__, resource, f' xmlns="{namespace}"', _standard)
    return "".join(out).encode()


def encode_fragment(resource: Any, extensions: Iterable[str] = _NOTHING) -> str:
    """Write a resource as `encode` does, without namespaces."""
    wanted = frozenset(extensions)
    plans = _writing.get(wanted)
    if plans is None:
        if unknown := wanted - PREFIXES.keys():
            raise ValueError(f"not namespaces of extensions: {', '.join(sorted(unknown))}")
        plans = _writing[wanted] = WritePlans(wanted)
    out: list[str] = []
    _write(out, type(resource).__name__, resource, "", plans)
    return "".join(out)


def document(fragment: str, namespace: str = NAMESPACE) -> bytes:
    """Make a document of a fragment, in its class's namespace. Extensions' namespaces are declared where they are used."""
    start = _ROOT.match(fragment)
    if start is None:
        raise ValueError("not a fragment: it starts with no element")
    declared = "".join(f' xmlns:{prefix}="{uri}"' for uri, prefix in PREFIXES.items() if f"<{prefix}:" in fragment)
    return f'{start[0]} xmlns="{namespace}"{declared}{fragment[start.end() :]}'.encode()


def list_document(
    page: Any,
    *,
    href: str,
    all: int,
    results: int,
    subscribable: int | None = None,
    poll_rate: int | None = None,
    fragments: Iterable[str],
) -> bytes:
    """Make the document of a list's page from the fragments of its items, which are not read.

    `page` is the list's class, or an instance of it whose other elements come before the items. Attributes that the class
    does not have are left out. Items of a subclass of the list's are named after the latter, with their class as xsi:type.
    Raises `ValueError` where the class is not that of a list.
    """
    shell = page() if isinstance(page, type) else page
    cls = type(shell)
    items = [child for child in _standard[cls].children if child.many]
    if not items:
        raise ValueError(f"{cls.__name__} is not a list")
    name, polymorphic = items[-1].name, items[-1].polymorphic
    values = {"href": href, "all": all, "results": results, "subscribable": subscribable, "poll_rate": poll_rate}
    known = {field for field, _, _ in _standard[cls].attributes}
    shell = replace(shell, **{field: value for field, value in values.items() if field in known and value is not None})
    body = "".join(_as_item(fragment, name) for fragment in fragments) if polymorphic else "".join(fragments)
    text = encode_fragment(shell)
    if not body:
        return document(text, namespace_of(cls))
    end = f"</{cls.__name__}>"
    start = text.removesuffix(end) if text.endswith(end) else f"{text.removesuffix('/>')}>"
    return document(f"{start}{body}{end}", namespace_of(cls))


def _as_item(fragment: str, name: str) -> str:
    start = _ROOT.match(fragment)
    if start is None or start[1] == name:
        return fragment
    end = f"</{start[1]}>"
    rest = f"{fragment.removesuffix(end)}</{name}>" if fragment.endswith(end) else fragment
    return f"<{name}{_named_type(start[1])}{rest[start.end() :]}"


def _subclass(resource: Any) -> str:
    return _named_type(type(resource).__name__)


def _named_type(name: str) -> str:
    return f' xmlns:xsi="{XSI}" xsi:type="{name}"'


def _write(out: list[str], name: str, resource: Any, extra: str, plans: WritePlans) -> None:
    cls = type(resource)
    plan = plans[cls]
    start = f"<{name}{extra}"
    child = ""
    try:
        for field, child, simple in plan.attributes:
            value = getattr(resource, field)
            if value is not None and (text := simple.write(value)) is not None:
                start += f' {child}="{_escape(text) if simple.escape else text}"'
        out.append(start)
        at = len(out)
        for field, child, kind, write, escape, many, polymorphic, opening, closing in plan.children:
            value = getattr(resource, field)
            if value is None:
                continue
            if write is not None:
                text = write(value)
                if text is not None:
                    out.append(f"{opening}{_escape(text) if escape else text}{closing}")
            elif many:
                for item in value:
                    _write(out, child, item, _subclass(item) if polymorphic and type(item) is not kind else "", plans)
            else:
                _write(out, child, value, _subclass(value) if polymorphic and type(value) is not kind else "", plans)
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

    Unknown and foreign elements and attributes are ignored, and no element is required. Elements of extensions that the
    class knows are read. Raises `InvalidResource` for another root element, one of another namespace than the class's, a value
    its type does not allow, or a single element given twice.
    """
    namespace, _, name = element.tag.removeprefix("{").rpartition("}")
    own = namespace_of(cls)
    if name != cls.__name__ or not (namespace in NAMESPACES if own == NAMESPACE else namespace == own):
        raise InvalidResource(local_name(element), f"expected {cls.__name__} in {own}")
    return _read(element, cls, name, _reading[namespace])


def _read(element: etree._Element, cls: type[T], name: str, plans: ReadPlans) -> T:
    plan = plans[cls]
    values: dict[str, Any] = {}
    place = ""
    try:
        if element.keys():
            for field, place, simple in plan.attributes:
                text = element.get(place)
                if text is not None:
                    values[field] = simple.read(text)
        by_tag = plan.by_tag
        for child in element:
            known = by_tag.get(child.tag)
            if known is None:
                continue
            field, place, read, kind, many, special = known
            if read is not None:
                if field in values:
                    raise ValueError("given more than once")
                if len(child):
                    raise ValueError("holds elements where a value is expected")
                values[field] = read(child.text or "")
            else:
                if special is None:
                    value = _read(child, kind, place, plans)
                else:
                    kind, convert = special(child)
                    value = convert(_read(child, kind, place, plans))
                if many:
                    values.setdefault(field, []).append(value)
                elif field in values:
                    raise ValueError("given more than once")
                else:
                    values[field] = value
    except InvalidResource as error:
        raise InvalidResource(f"{name}/{error.element}", error.detail) from None
    except ValueError as error:
        raise InvalidResource(f"{name}/{place}", str(error)) from None
    return cls(**values)
