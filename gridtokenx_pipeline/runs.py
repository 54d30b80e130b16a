"""Run jobs in this process, recorded in Dagster's instance like any other run."""

from __future__ import annotations

import datetime as dt
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gridtokenx_pipeline.config import Settings

if TYPE_CHECKING:
    import dagster as dg


# Events go to the instance; the console belongs to whoever runs the job.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Check:
    """An evaluated asset check. `warning` says that its failure does not fail the run."""

    asset: str
    name: str
    passed: bool
    warning: bool
    metadata: dict[str, object]


@dataclass(frozen=True)
class JobOutcome:
    """How a run ended. `failed_steps` name the steps, with the error's message."""

    job: str
    run_id: str
    success: bool
    failed_steps: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def failures(self) -> list[str]:
        """What made it fail: steps, and checks that are not warnings."""
        return [*self.failed_steps, *(f"check {c.name} of {c.asset}" for c in self.checks if not c.passed and not c.warning)]


class Runner:
    """Loads the definitions once and runs their jobs. Loading takes seconds: do it while others wait for something else."""

    def __init__(self, settings: Settings, env: dict[str, str] | None = None) -> None:
        os.environ.update(env or {})
        os.environ["GRIDTOKENX_DATA"] = str(settings.data)
        os.environ["GRIDTOKENX_CONFIG"] = str(settings.config)
        os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
        self.settings = settings
        self._definitions: dg.Definitions | None = None

    def load(self, *, suites: bool = True) -> None:
        """Import the definitions and, with `suites`, Great Expectations."""
        self._loaded()
        if suites:
            from gridtokenx_pipeline.quality.run import warm_up

            warm_up()

    def _loaded(self) -> dg.Definitions:
        if self._definitions is None:
            warnings.filterwarnings("ignore", module="dagster")
            from gridtokenx_pipeline.definitions import defs

            self._definitions = defs
        return self._definitions

    def first_hour(self) -> dt.datetime:
        """Return the receipt hour from which something may be unread."""
        from gridtokenx_pipeline import clock
        from gridtokenx_pipeline.defs.resources import Stores
        from gridtokenx_pipeline.defs.schedules import first_hour

        return first_hour(Stores(), clock.now())

    def hours(self, job: str, first: dt.datetime, last: dt.datetime, config: Mapping[str, Any] | None = None) -> JobOutcome:
        """Run an hourly job for the hours that hold `first` to `last`, in one run, with this run configuration."""
        from gridtokenx_pipeline.defs.partitions import hour_key

        return self._run(job, hour_key(first), hour_key(last), config)

    def days(self, job: str, first: dt.datetime, last: dt.datetime) -> JobOutcome:
        """Run a daily job for the days that hold `first` to `last`, in one run."""
        from gridtokenx_pipeline.defs.partitions import day_key

        return self._run(job, day_key(first), day_key(last))

    def _run(self, job: str, first: str, last: str, config: Mapping[str, Any] | None = None) -> JobOutcome:
        import dagster as dg

        from gridtokenx_pipeline.defs.partitions import one_run

        partition, tags = one_run(first, last)
        with dg.DagsterInstance.get() as instance:
            outcome = (
                self._loaded()
                .resolve_job_def(job)
                .execute_in_process(
                    instance=instance,
                    partition_key=partition,
                    tags=dict(tags),
                    raise_on_error=False,
                    run_config={**_QUIET, **(config or {})},
                )
            )
        failed = []
        for event in outcome.all_events:
            if event.is_step_failure:
                error = event.step_failure_data.error
                cause = error.cause or error if error else None
                failed.append(f"step {event.step_key}: {cause.message.strip() if cause else 'failed'}")
        # A run of several hours also evaluates each hour; those are of the same check, and the whole comes last.
        evaluations = {(check.asset_key, check.check_name): check for check in outcome.get_asset_check_evaluations()}
        checks = tuple(
            Check(
                "/".join(check.asset_key.path),
                check.check_name,
                check.passed,
                check.severity == dg.AssetCheckSeverity.WARN,
                {name: value.value for name, value in check.metadata.items()},
            )
            for check in evaluations.values()
        )
        return JobOutcome(job, outcome.run_id, outcome.success, tuple(failed), checks)
