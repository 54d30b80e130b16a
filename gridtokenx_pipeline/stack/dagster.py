"""Talking to the Dagster webserver: health, and switching schedules on."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Mapping
from typing import Any

from gridtokenx_pipeline.config import PROJECT_ROOT, Settings

LOCATION = "gridtokenx"
REPOSITORY = "__repository__"
SCHEDULES = ("every_five_minutes", "hour_close", "marts_every_quarter_hour")
SENSORS = ("late_readings", "new_segments", "late_types", "freshness")

_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
_LOCATIONS = """{ workspaceOrError { __typename ... on Workspace { locationEntries {
  name loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } ... on PythonError { message } } }"""
_START_SCHEDULE = """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) {
  __typename ... on PythonError { message } ... on ScheduleNotFoundError { message } } }"""
_START_SENSOR = """mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
  __typename ... on PythonError { message } ... on SensorNotFoundError { message } } }"""

_LAUNCH = """mutation($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } ... on InvalidSubsetError { message } } }"""


class DagsterError(RuntimeError):
    """The webserver refused a request; the message is its own."""


def ensure_home(settings: Settings) -> None:
    """Make DAGSTER_HOME with its `dagster.yaml`, which is replaced when the template changed."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT_ROOT / "config" / "dagster.yaml", settings.dagster_home / "dagster.yaml")


def graphql(url: str, query: str, variables: dict[str, Any] | None = None, timeout_s: float = 60) -> dict[str, Any]:
    """Run a query against the webserver at `url` and return its data. Raises `DagsterError` or `OSError`."""
    request = urllib.request.Request(  # noqa: S310
        f"{url}/graphql",
        json.dumps({"query": query, "variables": variables or {}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310
        answer = json.load(response)
    if answer.get("errors"):
        raise DagsterError("; ".join(error["message"] for error in answer["errors"]))
    return answer["data"]


def is_healthy(url: str) -> bool:
    """Whether the webserver answers, the code location is loaded and every required daemon beats."""
    workspace = graphql(url, _LOCATIONS, timeout_s=5)["workspaceOrError"]
    for entry in workspace.get("locationEntries", ()):
        error = entry["locationOrLoadError"]
        if error and error["__typename"] == "PythonError":
            raise DagsterError(error["message"])
    loaded = [e["name"] for e in workspace.get("locationEntries", ()) if e["loadStatus"] == "LOADED"]
    daemons = graphql(url, _DAEMONS, timeout_s=5)["instance"]["daemonHealth"]["allDaemonStatuses"]
    return LOCATION in loaded and all(daemon["healthy"] for daemon in daemons if daemon["required"])


def start_automation(url: str) -> None:
    """Switch the schedules and sensors on. Raises `DagsterError` naming what would not start."""
    place = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY}
    for name in SCHEDULES:
        answer = graphql(url, _START_SCHEDULE, {"selector": {**place, "scheduleName": name}})["startSchedule"]
        if answer["__typename"] != "ScheduleStateResult":
            raise DagsterError(f"schedule {name}: {answer.get('message', answer['__typename'])}")
    for name in SENSORS:
        answer = graphql(url, _START_SENSOR, {"selector": {**place, "sensorName": name}})["startSensor"]
        if answer["__typename"] != "Sensor":
            raise DagsterError(f"sensor {name}: {answer.get('message', answer['__typename'])}")


def launch(url: str, job: str, tags: Mapping[str, str], config: Mapping[str, Any]) -> str:
    """Put a run of `job` into the queue and return its id. Raises `DagsterError` where it is refused."""
    place = {"repositoryLocationName": LOCATION, "repositoryName": REPOSITORY, "jobName": job}
    metadata = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
    parameters = {"selector": place, "runConfigData": dict(config), "executionMetadata": metadata}
    answer = graphql(url, _LAUNCH, {"parameters": parameters})["launchRun"]
    if answer["__typename"] != "LaunchRunSuccess":
        errors = "; ".join(error["message"] for error in answer.get("errors", ()))
        raise DagsterError(f"job {job}: {answer.get('message') or errors or answer['__typename']}")
    return answer["run"]["runId"]
