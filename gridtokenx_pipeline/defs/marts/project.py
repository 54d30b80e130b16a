"""The dbt project: where it is, its manifest, and how dbt is run in this process.

dbt as a subprocess costs its imports on every run; `dbtRunner` pays them once. The manifest is made again when a file
of the project changed.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gridtokenx_pipeline.config import PROJECT_ROOT, Settings

PROJECT_DIR = PROJECT_ROOT / "dbt"


class DbtFailed(RuntimeError):
    """dbt did not succeed; the message says at which nodes."""


def target_dir(settings: Settings) -> Path:
    """Where dbt writes: manifest, compiled SQL, run results."""
    return settings.data / "dbt" / "target"


def ensure_manifest(settings: Settings) -> Path:
    """Return the path of an up-to-date manifest, parsing the project first where it has changed."""
    manifest = target_dir(settings) / "manifest.json"
    newest = max(path.stat().st_mtime for path in PROJECT_DIR.rglob("*") if path.is_file())
    if not manifest.exists() or manifest.stat().st_mtime < newest:
        invoke(settings, ["parse"])
        os.utime(manifest)
    return manifest


def load_manifest(settings: Settings) -> dict[str, Any]:
    """Return the up-to-date manifest's content."""
    return json.loads(ensure_manifest(settings).read_text(encoding="utf-8"))


def environment(settings: Settings) -> dict[str, str]:
    """Return what the project reads of the settings. They are variables of the environment because changed `--vars` would make dbt
    parse the whole project again.
    """
    return {
        "GRIDTOKENX_DATA": str(settings.data),
        "GRIDTOKENX_TIMEZONE": settings.site.timezone,
        "GRIDTOKENX_READINGS_DAYS": str(settings.retention.readings_days),
        "GRIDTOKENX_COMPLETENESS_SLA_PCT": f"{settings.vee.completeness_sla_pct:g}",
    }


def invoke(settings: Settings, arguments: Sequence[str], on_event: Callable[[dict[str, Any]], None] | None = None) -> None:
    """Run dbt in this process; `on_event` gets every structured event. Raises `DbtFailed`."""
    from dbt.cli.main import dbtRunner
    from google.protobuf.json_format import MessageToDict

    os.environ |= environment(settings)
    os.environ.setdefault("DO_NOT_TRACK", "1")

    def forward(event: Any) -> None:
        if on_event is not None:
            on_event(MessageToDict(event, preserving_proto_field_name=True))

    places = ["--project-dir", PROJECT_DIR, "--profiles-dir", PROJECT_DIR, "--target-path", target_dir(settings)]
    places += ["--log-path", settings.data / "dbt" / "logs"]
    outcome = dbtRunner(callbacks=[forward]).invoke([*arguments, "--quiet", *map(str, places)])
    if not outcome.success:
        results = getattr(outcome.result, "results", None) or ()
        failed = [f"{r.node.name}: {r.message}" for r in results if r.status in ("error", "fail", "runtime error")]
        raise DbtFailed("; ".join(failed) or str(outcome.exception or "dbt failed"))


def build(settings: Settings, start: dt.date, end: dt.date) -> Iterator[dict[str, Any]]:
    """Build models and tests for the days `start` to `end` (exclusive) in a thread of this process, yielding events as they come.

    Raises `DbtFailed` at the end. The days are event-time flags, and variables of the environment (see `environment`).
    """
    import queue

    os.environ["GRIDTOKENX_MARTS_START"], os.environ["GRIDTOKENX_MARTS_END"] = start.isoformat(), end.isoformat()
    arguments = ["build", "--event-time-start", start.isoformat(), "--event-time-end", end.isoformat()]
    events: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            invoke(settings, arguments, events.put)
            events.put(None)
        except BaseException as error:
            events.put(error)

    thread = threading.Thread(target=work, name="dbt", daemon=True)
    thread.start()
    while (event := events.get()) is not None:
        if isinstance(event, BaseException):
            raise event
        yield event
    thread.join()
