"""A client that follows every link of a server and looks at every answer as the strictest clients do."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import aiohttp
from lxml import etree

from ieee2030_5.function_sets import Node, find
from ieee2030_5.namespaces import P2P, SEP
from ieee2030_5.xml import MEDIA_TYPE

MAX_HEADER_BYTES = 2048
MAX_LIST_ADDRESS = 44
_VOLATILE = {"Date"}
_PREFIXED_ELEMENT = re.compile(rb"</?[\w.-]+:")


@dataclass
class Walk:
    """Visits resources with one client's session. `schema` is for what that client may see; `prefixes` whether it may see any."""

    session: aiohttp.ClientSession
    schema: etree.XMLSchema
    prefixes: bool = False
    lists: dict[str, int] = field(default_factory=dict)
    counted: list[tuple[str, str, int]] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)
    visited: dict[str, etree._Element] = field(default_factory=dict)

    async def follow(self, seeds: Iterable[str]) -> None:
        """Visit the seeds and all that they lead to, then compare what links say of lists with the lists."""
        queue = deque(seeds)
        while queue:
            path = queue.popleft()
            if path in self.visited or path in self.absent:
                continue
            root = await self.visit(path)
            if root is not None:
                queue.extend(self._links(path, root))
        for source, target, total in self.counted:
            assert self.lists[target] == total, f"{source} says that {target} has {total} items"

    def nodes(self) -> set[Node]:
        """The nodes of the tree that were visited."""
        return {node for path in self.visited if (node := find(path)) is not None}

    async def visit(self, path: str) -> etree._Element | None:
        """Get a resource and look at it; None for one that a device may yet write."""
        node = find(path)
        if node is not None and not node.is_list and node.put and not node.path.endswith("}"):
            async with self.session.get(path) as response:
                if response.status == 404:
                    await self.check(response, path)
                    self.absent.add(path)
                    return None
        root = await self.get(path, query="?s=0&l=255")
        assert root.get("href") == path
        if root.get("all") is not None:
            await self._pages(path, root)
        self.visited[path] = root
        return root

    async def get(self, path: str, query: str = "") -> etree._Element:
        """Get a resource that has to be there, and its HEAD."""
        async with self.session.get(path + query) as response:
            assert response.status == 200, path
            root = await self.check(response, path)
        async with self.session.head(path + query) as head:
            assert head.status == 200, path
            assert await head.read() == b""
            assert _stable(head) == _stable(response), path
        return root

    async def check(self, response: aiohttp.ClientResponse, path: str) -> etree._Element:
        """What holds for every document, errors included."""
        body = await response.read()
        assert response.headers.getall("Content-Type") == [MEDIA_TYPE], path
        assert response.headers.getall("Content-Length") == [str(len(body))], path
        assert "Transfer-Encoding" not in response.headers, path
        assert sum(len(name) + len(value) + 4 for name, value in response.raw_headers) + 64 < MAX_HEADER_BYTES, path
        root = etree.fromstring(body)
        namespace = etree.QName(root).namespace
        if not self.prefixes:
            assert not _PREFIXED_ELEMENT.search(body), body
            assert b"csipaus" not in body, body
            assert namespace in (SEP, P2P), path
        if namespace != P2P:
            assert self.schema.validate(root), f"{path}: {self.schema.error_log}\n{body.decode()}"
        return root

    async def _pages(self, path: str, root: etree._Element) -> None:
        total = int(root.get("all"))
        assert len(path) <= MAX_LIST_ADDRESS, path
        assert int(root.get("results")) == total == len(root), path
        self.lists[path] = total
        first = await self.get(path)
        assert (int(first.get("all")), int(first.get("results")), len(first)) == (total, min(total, 1), min(total, 1)), path
        past = await self.get(path, f"?s={total}&l=3")
        assert (past.get("all"), past.get("results"), len(past)) == (str(total), "0", 0), path

    def _links(self, path: str, root: etree._Element) -> list[str]:
        found = []
        for element in root.iter():
            address = element.get("href")
            if address is None or element is root:
                continue
            found.append(address)
            if etree.QName(element).localname.endswith("ListLink"):
                assert element.get("all") is not None, f"{path}: link to {address} without all"
                self.counted.append((path, address, int(element.get("all"))))
        return found


def _stable(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in _VOLATILE}
