"""What a wheel holds of the programs, and that the installed package finds it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from gridtokenx_pipeline.solana.programs.images import PROGRAMS, ROOT, image, program_id

CHECKOUT = Path(__file__).parents[2]
WHEEL = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]


def install(into: Path) -> None:
    """Copy what the wheel's settings name: the modules in question, and the files that are put in besides."""
    ignored = shutil.ignore_patterns("__pycache__")
    for source, target in WHEEL["force-include"].items():
        copy = shutil.copytree if (CHECKOUT / source).is_dir() else shutil.copyfile
        (into / target).parent.mkdir(parents=True, exist_ok=True)
        copy(CHECKOUT / source, into / target)
    assert "gridtokenx_pipeline" in WHEEL["packages"]
    for part in ("__init__.py", "clock.py"):
        shutil.copyfile(CHECKOUT / "gridtokenx_pipeline" / part, into / "gridtokenx_pipeline" / part)
    solana = "gridtokenx_pipeline/solana"
    shutil.copytree(CHECKOUT / solana, into / solana, ignore=ignored, dirs_exist_ok=True)


def test_the_checkout_is_read_where_it_lies():
    assert ROOT == CHECKOUT / "programs"


def test_an_installed_package_has_every_image_and_interface(tmp_path: Path):
    install(tmp_path)
    code = (
        "import hashlib\n"
        "from gridtokenx_pipeline.solana.programs import images, instructions\n"
        "print(images.ROOT)\n"
        "print([(str(images.program_id(n)), hashlib.sha256(images.image(n)).hexdigest()) for n in images.PROGRAMS])\n"
        "instructions.Programs()\n"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )

    known = [(str(program_id(name)), hashlib.sha256(image(name)).hexdigest()) for name in PROGRAMS]
    assert done.stdout.splitlines() == [str(tmp_path / "gridtokenx_pipeline/solana/programs/shipped"), str(known)], done.stderr
