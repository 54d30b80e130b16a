"""CSIP-AUS 1.2: the connection point. Its elements inside standard resources are fields of those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from ieee2030_5.namespaces import CSIP_AUS
from ieee2030_5.resources.base import Resource
from ieee2030_5.resources.fields import element
from ieee2030_5.resources.types import STRING32


@dataclass(slots=True, kw_only=True)
class ConnectionPoint(Resource):
    """Where a device is connected to the grid: in Australia its national metering identifier (NMI)."""

    xml_namespace: ClassVar[str] = CSIP_AUS

    # Clients of CSIP-AUS 1.1 still name it as that did.
    connection_point_id: Annotated[str | None, element("connectionPointId", STRING32, aliases=("id",))] = None
