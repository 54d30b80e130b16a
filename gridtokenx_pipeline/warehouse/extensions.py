"""DuckDB extensions from their PyPI wheels, laid out where DuckDB and dbt look for them. Nothing is downloaded."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import duckdb

EXTENSIONS = {
    "ducklake": "duckdb_extension_ducklake",
    "sqlite_scanner": "duckdb_extension_sqlite_scanner",
    "postgres_scanner": "duckdb_extension_postgres_scanner",
}


def ensure_extension_directory(directory: Path) -> Path:
    """Fill `directory` with the extensions of the installed wheels and return it; what is there already stays.

    With it as DuckDB's `extension_directory`, INSTALL, LOAD and autoload all work without a network.
    Raises `RuntimeError` when a wheel is missing or was made for another DuckDB.
    """
    version = f"v{duckdb.__version__}"
    row = duckdb.execute("PRAGMA platform").fetchone()
    assert row is not None
    target = directory / version / row[0]
    for name, package in EXTENSIONS.items():
        file = target / f"{name}.duckdb_extension"
        if file.exists():
            continue
        spec = importlib.util.find_spec(package)
        source = Path(spec.origin).parent / "extensions" / version / file.name if spec and spec.origin else None
        if source is None or not source.exists():
            raise RuntimeError(f"the DuckDB extension {name} for DuckDB {version} is not installed (package {package})")
        target.mkdir(parents=True, exist_ok=True)
        # Processes of one stack start together: each writes a file of its own, and the last rename wins.
        partial = file.with_suffix(f".{os.getpid()}.partial")
        try:
            partial.hardlink_to(source)
        except OSError:
            # Another file system, or one without links.
            shutil.copyfile(source, partial)
        partial.replace(file)
    return directory
