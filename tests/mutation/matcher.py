"""Runs the market's tests against an engine with one small mistake at a time; every mistake must fail a test.

`python -m tests.mutation.matcher` takes a few minutes, prints a table and ends with 1 where a mutant survives. The checkout is
never edited: mutants live in a copy of the package, in a temporary directory that comes first on the module search path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
PACKAGE = "gridtokenx_pipeline"
# the quickest first: most mutants fall to a worked case
TESTS = [f"tests/domain/test_market_{part}.py" for part in ("golden", "refusals", "matching", "properties")]


class Workshop:
    """A copy of the package, in which one module at a time is changed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._market = directory / PACKAGE / "domain" / "market"
        shutil.copytree(ROOT / PACKAGE, directory / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))

    def place(self) -> str:
        """Where Python finds the market engine in a test run."""
        code = f"import {PACKAGE}.domain.market as market; print(market.__file__)"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=self._environment(), check=True)
        return found.stdout.strip()

    def passes(self, tests: Iterable[str] = TESTS) -> bool:
        """Whether the tests pass with the copy as it is."""
        return self._run(tests) == 0

    def survives(self, mutant: Mutant, tests: Iterable[str] = TESTS) -> bool:
        """Whether the tests pass with the mistake in the copy; a mistake that cannot be made is an error."""
        module = self._market / f"{mutant.module}.py"
        text = module.read_text()
        if text.count(mutant.before) != 1:
            raise ValueError(f"{mutant.module}.py has {mutant.before!r} {text.count(mutant.before)} times, not once")
        module.write_text(text.replace(mutant.before, mutant.after))
        try:
            return self._run(tests) == 0
        finally:
            module.write_text(text)

    def _run(self, tests: Iterable[str]) -> int:
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no_shrinking"]
        examples = ["--hypothesis-seed=0", "--hypothesis-profile=mutants"]
        command = [sys.executable, "-m", "pytest", *options, *examples, *tests]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=self._environment(), check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"the tests did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.returncode

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": f"{self._directory}{os.pathsep}{Path(__file__).parent}",
            # neither the working directory nor compiled modules of other mutants come first
            "PYTHONSAFEPATH": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self._directory / "hypothesis"),
        }


@contextmanager
def workshop() -> Iterator[Workshop]:
    """A copy that is gone at the end, and that Python is known to take for the package."""
    with tempfile.TemporaryDirectory(prefix="gridtokenx-mutants-") as directory:
        made = Workshop(Path(directory))
        if not made.place().startswith(directory):
            raise RuntimeError(f"the tests would run against {made.place()}")
        yield made


def main() -> int:
    """Try every mutant; return how many survived."""
    survivors = 0
    with workshop() as shop:
        if not shop.passes():
            sys.stdout.write("the tests fail without any mutant\n")
            return 1
        for mutant in MUTANTS:
            began = time.monotonic()
            alive = shop.survives(mutant)
            survivors += alive
            verdict = "SURVIVED" if alive else "caught"
            sys.stdout.write(
                f"{verdict:8} {time.monotonic() - began:5.1f} s  {mutant.module}: {mutant.before} -> {mutant.after}\n"
            )
            sys.stdout.flush()
    sys.stdout.write(f"{len(MUTANTS) - survivors} of {len(MUTANTS)} mutants caught\n")
    return survivors


if __name__ == "__main__":
    sys.exit(min(main(), 1))
