"""Function set assignments: the programs a device belongs to (IEEE 2030.5-2018, function set assignments)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import SubscribableList
from .dcap import FunctionSetAssignmentsBase
from .fields import attribute, children, element
from .types import MRID, STRING32, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class FunctionSetAssignments(FunctionSetAssignmentsBase):
    """One group of function sets a device is assigned to."""

    subscribable: Annotated[int | None, attribute("subscribable", UINT8)] = None
    mrid: Annotated[str | None, element("mRID", MRID)] = None
    description: Annotated[str | None, element("description", STRING32)] = None
    version: Annotated[int | None, element("version", UINT16)] = None


@dataclass(slots=True, kw_only=True)
class FunctionSetAssignmentsList(SubscribableList):
    """Function set assignments, by descending mRID."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    function_set_assignments: Annotated[
        list[FunctionSetAssignments], children("FunctionSetAssignments", FunctionSetAssignments)
    ] = field(default_factory=list)
