"""What the code location is made of, and what it costs to load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg

from gridtokenx_pipeline.config import PROJECT_ROOT

GOLDEN = Path(__file__).parent / "golden" / "definitions.json"
REWRITE = "GRIDTOKENX_REWRITE_GOLDEN"
OF_THE_TESTS = ("audit", "settle_unchecked", "line_unchecked")
HEAVY = ("great_expectations", "pvlib", "scipy", "solana", "solders", "aiohttp", "pandas")


def test_loading_the_code_location_imports_nothing_heavy(definitions):
    program = (
        "import sys; import gridtokenx_pipeline.definitions; "
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & set({HEAVY!r})))"
    )
    # Where the dbt manifest has been made: making it is what imports dbt.
    environment = {**os.environ, "GRIDTOKENX_DATA": definitions.resources["stores"].data}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, cwd=PROJECT_ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_definitions_are_those_of_the_golden_file(definitions):
    found = json.loads(json.dumps(described(definitions)))
    if os.environ.get(REWRITE):
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8")), f"intended? then rewrite it with {REWRITE}=1"


def described(definitions: dg.Definitions) -> dict[str, Any]:
    """Assets with dependencies, partitions, columns and checks; jobs, schedules and sensors. The jobs of the tests are left out."""
    graph = definitions.resolve_asset_graph()
    assets = {}
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        if not node.is_materializable:
            continue
        assets[key.to_user_string()] = {
            "group": node.group_name,
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitions": type(node.partitions_def).__name__ if node.partitions_def else None,
            "partitions_per_run": node.backfill_policy and node.backfill_policy.max_partitions_per_run,
            "tags": {name: value for name, value in node.tags.items() if not name.startswith("dagster/")},
            "pools": sorted(node.pools or []),
            "checks": {
                name: {"blocking": graph.get_check_spec(dg.AssetCheckKey(key, name)).blocking}
                for name in sorted(check.name for check in node.check_keys)
            },
        }
    jobs = {}
    for job in definitions.resolve_all_job_defs():
        if job.name in OF_THE_TESTS or job.name.startswith("__"):
            continue
        jobs[job.name] = {
            "assets": sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys),
            "checks": sorted(
                f"{key.asset_key.to_user_string()}:{key.name}" for key in job.asset_layer.executable_asset_check_keys
            )
            if hasattr(job.asset_layer, "executable_asset_check_keys")
            else sorted(f"{key.asset_key.to_user_string()}:{key.name}" for key in job.asset_layer.asset_graph.asset_check_keys),
            "partitions": type(job.partitions_def).__name__ if job.partitions_def else None,
        }
    repository = definitions.get_repository_def()
    return {
        "assets": assets,
        "jobs": jobs,
        "schedules": {
            s.name: {"job": s.job_name, "cron": s.cron_schedule, "timezone": s.execution_timezone}
            for s in repository.schedule_defs
        },
        "sensors": {
            s.name: {"jobs": sorted(target.job_name for target in s.targets), "seconds": s.minimum_interval_seconds}
            for s in repository.sensor_defs
        },
    }
