"""The npm package `@solana/web3.js`, unchanged, against the node. Needs Node.js and the package; see web3js/README.md."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "web3js" / "against_the_node.cjs"


@pytest.fixture
def package() -> str:
    directory = os.environ.get("GRIDTOKENX_WEB3JS")
    if shutil.which("node") is None:
        pytest.skip("web3.js NOT TRIED: there is no Node.js")
    if directory is None:
        pytest.skip("web3.js NOT TRIED: GRIDTOKENX_WEB3JS names no directory with node_modules (tests/solana/web3js/README.md)")
    assert (Path(directory) / "node_modules" / "@solana" / "web3.js").is_dir(), f"{directory} has no @solana/web3.js"
    return directory


def test_web3js_works_unchanged(node_process, package):
    # Slots of 100 ms: the package itself polls every second, and its blockhash must not run out meanwhile.
    node = node_process(slot_ms=100)
    command = ["node", str(SCRIPT), node.url]
    environment = os.environ | {"GRIDTOKENX_WEB3JS": package}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["balance"], seen["transferred"]) == (2 * 10**9, 10**7)
    assert (seen["simulated"], seen["statuses"], seen["slotsFollow"]) == (None, None, True)
    # Twenty transfers: loaded from the table they take less than the twenty addresses alone.
    assert seen["loadedBytes"] < 20 * 32
    assert seen["loaded"] == seen["held"]
    assert (seen["memo"], seen["tableKeys"]) == ("from web3.js", 20)
    assert seen["ofLoaded"] == [seen["signature"]]
    assert seen["parsedAccount"] == [10**6, True]
    assert seen["chainError"] == {"InstructionError": [0, "ProgramFailedToComplete"]}
    assert seen["preflight"] == "SendTransactionError"
