"""A small campus with something to remove: messages in landing segments and in the lake, and everything derived from them."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from gridtokenx_pipeline import config
from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import TABLES, Table, Type, certificates, core, market, ops, raw, settlement
from gridtokenx_pipeline.domain import landing
from gridtokenx_pipeline.privacy import erasure
from gridtokenx_pipeline.privacy.owners import Line, Owners
from gridtokenx_pipeline.warehouse import Replace, Warehouse
from ingest_server.landing.sqlite import SqliteLandingReader, SqliteLandingStore
from ingest_server.landing.store import RawMessage

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
FIRST = dt.datetime(2026, 6, 1, 10, tzinfo=dt.UTC)
HOURS = (FIRST, FIRST + HOUR, FIRST + DAY)
NOW = FIRST + DAY + 6 * HOUR
# The first owner's time ends with the first hour.
UNTIL = FIRST + HOUR
NAME, CONTACT = "Ada Quintessa Lovelace", "ada.quintessa@example.org"
A, B = "AMI_METER_STANFORD_ENG_001", "AMI_METER_STANFORD_PHYS_001"
_FILL = {
    Type.TEXT: "x",
    Type.INTEGER: 1,
    Type.BIGINT: 1,
    Type.BOOLEAN: True,
    Type.BYTES: b"x",
    Type.ENERGY: 1_001,
    Type.TIMESTAMP: FIRST,
}
DOCUMENTS = (core.TELEMETRY, core.DER_DOCUMENTS, core.FLOW_RESERVATIONS, core.RESPONSES, core.LOG_EVENTS)
# What a person could be known by, if it were anywhere else than in the owners' table.
SECRET = "<details>the owner of the house has the pin 4711</details>"


def frame(table: Table, rows: list[dict]) -> pl.DataFrame:
    filled = {c.frame_name: None if c.nullable else _FILL.get(c.type) for c in table.columns}
    known = [{name: value for name, value in (filled | row).items() if name in filled} for row in rows]
    return pl.DataFrame(known, schema=table.frame_schema(), strict=False)


class PrivateCampus:
    def __init__(self, data: Path, extensions: Path | None) -> None:
        self.settings: Settings = config.load(data=data)
        self.extensions = data / "warehouse" / "extensions"
        if extensions is not None:
            self.extensions.parent.mkdir(parents=True, exist_ok=True)
            self.extensions.symlink_to(extensions)
        self._reader: Warehouse | None = None

    def copy(self, data: Path) -> PrivateCampus:
        """The same campus in another directory."""
        shutil.copytree(self.settings.data, data, symlinks=True)
        return PrivateCampus(data, None)

    def forget_the_first_owner(self) -> None:
        """Two owners of meter A, one after the other; the first, with all that a person could be known by, is forgotten."""
        owners = Owners(self.settings.operational_url)
        owners.create_all()
        owners.add(
            [Line(NAME, CONTACT, A, FIRST, UNTIL), Line("Bob", "", A, UNTIL, None), Line("Bob", "", B, FIRST, None)], FIRST
        )
        (self.ref,) = {o.owner_ref for o in owners.ownerships() if o.end == UNTIL}
        with self.lake() as lake:
            row = ["stanford", A, "House", "academic", 1, 1, 1, None, None, self.ref]
            lake.commit(Replace(core.METERS, pl.DataFrame([row], schema=core.METERS.frame_schema(), orient="row")))
        self.before = self.hashes(*SETTLED)
        owners.close()
        self.close()
        self.erased = erasure.forget(self.settings, self.ref, by="officer", reason="asked for it", now=NOW)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def lake(self) -> Warehouse:
        return Warehouse(self.settings.warehouse_dir)

    def query(self, sql: str) -> pl.DataFrame:
        if self._reader is None:
            self._reader = Warehouse(self.settings.warehouse_dir, read_only=True)
        return self._reader.query(sql)

    def messages(self) -> Iterator[RawMessage]:
        for hour in HOURS:
            for minute in range(3):
                for meter in (A, B):
                    received = hour + dt.timedelta(minutes=minute)
                    body = f"<Reading>{meter} {received.isoformat()} {SECRET if meter == A and received < UNTIL else ''}</Reading>".encode()
                    digest = hashlib.sha256(body).hexdigest()
                    yield RawMessage(
                        received, "AB" * 20, "POST", "/mup/1", "application/sep+xml", body, digest, "sep2", meter, "stanford"
                    )

    def fill(self) -> None:
        async def land() -> None:
            store = SqliteLandingStore(self.settings.landing_dir)
            for message in self.messages():
                await store.append(message)
            store.close()

        asyncio.run(land())
        reader = SqliteLandingReader(self.settings.landing_dir)
        landed = pl.concat([landing.frame(s.name, reader.read(s)) for s in reader.segments()])
        about = landed.select("message_id", "zone", "meter_id", "received_at").to_dicts()
        start = {m["message_id"]: {"interval_start": m["received_at"]} for m in about}
        writes = [
            (raw.MESSAGES, landed),
            (core.MESSAGE_OUTCOMES, frame(core.MESSAGE_OUTCOMES, about)),
            (core.READINGS, frame(core.READINGS, [m | start[m["message_id"]] for m in about])),
            (core.TELEMETRY, frame(core.TELEMETRY, [m | {"measured_at": m["received_at"]} for m in about])),
            *(
                (
                    t,
                    frame(
                        t, [m | {"attributes": SECRET if m["meter_id"] == A and m["received_at"] < UNTIL else "x"} for m in about]
                    ),
                )
                for t in DOCUMENTS[1:]
            ),
            (core.REJECTED_READINGS, frame(core.REJECTED_READINGS, about)),
            (core.ENERGY_15S, frame(core.ENERGY_15S, [m | start[m["message_id"]] for m in about])),
            (core.ENERGY_5MIN, frame(core.ENERGY_5MIN, [m | start[m["message_id"]] for m in about])),
            (
                market.TRADES,
                frame(market.TRADES, [{"trade_id": f"t{i}", "interval_start": hour} for i, hour in enumerate(HOURS)]),
            ),
            (ops.WATERMARKS, frame(ops.WATERMARKS, [{"zone": "stanford", "stage": "readings", "complete_until": NOW}])),
        ]
        for table in (certificates.TABLES[0], settlement.TABLES[0]):
            writes.append((table, frame(table, [{}])))
        with self.lake() as lake:
            for table, content in writes:
                # As the line does: each stage and hour a transaction.
                lake.commit(Replace(table, content))

    def bytes_of(self, *folders: Path) -> Iterator[tuple[Path, bytes]]:
        """Every file of the data directory (or of `folders` of it) with its content, but for DuckDB's own."""
        for root in folders or (self.settings.data,):
            for path in root.rglob("*"):
                if path.is_file() and self.extensions not in path.parents:
                    yield path, path.read_bytes()

    def hashes(self, *tables: Table) -> dict[str, str]:
        return {
            t.full_name: hashlib.sha256(repr(self.query(f"FROM {t.full_name} ORDER BY ALL").rows()).encode()).hexdigest()
            for t in tables
        }


KEPT = tuple(t for t in TABLES if t.schema in ("market", "certificates", "settlement") or t.name.startswith("energy_"))
SETTLED = (*KEPT, core.READINGS, core.REJECTED_READINGS, core.MESSAGE_OUTCOMES)
