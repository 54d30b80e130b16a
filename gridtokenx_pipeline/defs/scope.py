"""Which meters a run is about."""

import dagster as dg
from pydantic import Field


class Scope(dg.Config):
    """Run configuration of the stages from readings to energy. Without `meter`, all meters."""

    meter: str = Field(default="", description="Only this meter's readings and energy are derived again; all where it is empty.")
