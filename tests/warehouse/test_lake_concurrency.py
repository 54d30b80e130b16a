from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import duckdb
from partition_writer import SIZES

from gridtokenx_pipeline.contracts import core, raw
from gridtokenx_pipeline.warehouse import Warehouse, WarehouseMissing

WRITERS = 2
PARTITIONS = 3
# One statement, so one snapshot: how many readings each message claims, and how many there are.
CLAIMS = """
SELECT o.message_id, o.accepted, count(r.meter_id) AS present, count(DISTINCT r.energy_wh) AS sizes, any_value(m.sequence) AS sequence
FROM core.message_outcomes AS o
LEFT JOIN core.readings AS r ON r.meter_id = o.message_id
LEFT JOIN raw.messages AS m ON m.message_id = o.message_id
GROUP BY o.message_id, o.accepted
"""


def test_writers_and_a_reader_at_once_lose_and_tear_nothing(tmp_path: Path, extensions: Path):
    """Two processes make the same warehouse, fill partitions and replace them, while a third reads."""
    directory, go = tmp_path / "lake", tmp_path / "go"
    own_extensions = tmp_path / "extensions"
    script = Path(__file__).with_name("partition_writer.py")
    arguments = [str(directory), str(own_extensions), str(go), str(PARTITIONS)]
    command = [sys.executable, str(script)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([*command, str(number), *arguments], **pipes) for number in range(WRITERS)]
    seen: list[dict] = []
    try:
        assert [writer.stdout.readline() for writer in writers] == ["ready\n"] * WRITERS
        go.touch()
        reader = Warehouse(directory, extensions, read_only=True)
        while any(writer.poll() is None for writer in writers):
            time.sleep(0.3)
            if not reader.catalog.exists():
                continue
            try:
                claims = reader.query(CLAIMS).to_dicts()
            except (duckdb.Error, WarehouseMissing):
                # The catalog is there before its tables are; afterwards nothing may go wrong.
                if seen:
                    raise
                continue
            seen += claims
        reader.close()
        errors = [writer.communicate()[1] for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
        shutil.rmtree(own_extensions, ignore_errors=True)
    assert [writer.returncode for writer in writers] == [0] * WRITERS, "\n".join(errors)
    torn = [c for c in seen if (c["present"], c["sizes"], c["sequence"]) != (c["accepted"], 1, SIZES[0])]
    assert not torn
    assert {c["accepted"] for c in seen} <= set(SIZES)
    assert seen, "the reader came too late to see anything"
    with Warehouse(directory, extensions, read_only=True) as after:
        names = sorted(f"{n}-{p}" for n in range(WRITERS) for p in range(PARTITIONS))
        outcomes = after.read(core.MESSAGE_OUTCOMES)
        assert outcomes["message_id"].to_list() == names
        assert outcomes["accepted"].to_list() == [SIZES[-1]] * len(names)
        assert len(after.read(core.READINGS)) == SIZES[-1] * len(names)
        assert after.read(raw.MESSAGES)["sequence"].to_list() == [SIZES[0]] * len(names)
