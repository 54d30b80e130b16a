from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gridtokenx_pipeline.contracts import Table
from gridtokenx_pipeline.tracing import Node, trace
from gridtokenx_pipeline.warehouse import Warehouse


@pytest.fixture(scope="session")
def campus():
    from traced_campus import TracedCampus

    return TracedCampus()


@pytest.fixture(scope="session")
def data(campus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with the campus in its warehouse. Not for writing."""
    directory = tmp_path_factory.mktemp("traced")
    campus.write(directory / "warehouse")
    return directory


@pytest.fixture(scope="session")
def warehouse(data: Path) -> Iterator[Warehouse]:
    """Reads each thing once: nobody writes."""
    with Warehouse(data / "warehouse", read_only=True) as reader:
        known: dict[str, pl.DataFrame] = {}
        for name in ("read", "query"):
            real = getattr(reader, name)

            def once(*arguments: object, of: Callable[..., pl.DataFrame] = real) -> pl.DataFrame:
                key = repr((of, arguments))
                return known[key] if key in known else known.setdefault(key, of(*arguments))

            setattr(reader, name, once)
        yield reader


@pytest.fixture(scope="session")
def traced(warehouse: Warehouse) -> Callable[..., Node]:
    """A trace that several tests look at. Not for changing."""
    return functools.cache(lambda text, **options: trace(warehouse, text, **options))


@pytest.fixture
def tampered(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[..., Node]]:
    """Traces of the campus as if rows of some tables were other ones: `table = function of its frame`."""

    read = warehouse.read

    def change(changes: dict[Table, Callable[[pl.DataFrame], pl.DataFrame]]) -> Callable[..., Node]:
        untouched = lambda frame: frame  # noqa: E731
        monkeypatch.setattr(warehouse, "read", lambda table, *arguments: changes.get(table, untouched)(read(table, *arguments)))
        return lambda text: trace(warehouse, text)

    return change
