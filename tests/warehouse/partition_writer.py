"""A writer of the concurrency test: `partition_writer.py NUMBER DIRECTORY EXTENSIONS GO PARTITIONS`.

Every partition is one hour of its own, written twice with another number of rows. Each commit holds readings, how many
they are, and a message that only the first commit of the partition adds.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pyarrow  # noqa: F401 (so that nothing is left to import when the writers start)
from lake_rows import HOUR, rows

from gridtokenx_pipeline.contracts import core, raw
from gridtokenx_pipeline.warehouse import Append, Replace, Warehouse

SIZES = (7, 12)
DAY = dt.timedelta(days=1)


def main() -> None:
    number, directory, extensions, go, partitions = sys.argv[1:]
    print("ready", flush=True)
    while not Path(go).exists():
        time.sleep(0.01)
    with Warehouse(Path(directory), Path(extensions)) as warehouse:
        for size in SIZES:
            for partition in range(int(partitions)):
                start = HOUR + int(number) * DAY + dt.timedelta(hours=partition)
                end, name = start + dt.timedelta(hours=1), f"{number}-{partition}"
                times = [start + dt.timedelta(seconds=i) for i in range(size)]
                readings = [{"meter_id": name, "interval_start": t, "received_at": t, "energy_milli_wh": size} for t in times]
                counted = {"message_id": name, "accepted": size, "received_at": start}
                warehouse.commit(
                    Replace(core.READINGS, rows(core.READINGS, *readings), start, end),
                    Replace(core.MESSAGE_OUTCOMES, rows(core.MESSAGE_OUTCOMES, counted), start, end),
                    Append(raw.MESSAGES, rows(raw.MESSAGES, {"message_id": name, "received_at": start, "sequence": size})),
                )


if __name__ == "__main__":
    main()
