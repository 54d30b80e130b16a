"""Files for devices to load, and how far they are (IEEE 2030.5-2018, file download function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import Link, List, Resource
from .fields import attribute, children, element
from .types import ANY_URI, HEX16, LFDI, STRING16, STRING32, TIME, UINT8, UINT16, UINT32


@dataclass(slots=True, kw_only=True)
class File(Resource):
    """A file a device may load from `file_uri`; `size` in octets, `type` a bit mask of one."""

    activate_time: Annotated[int | None, element("activateTime", TIME)] = None
    file_uri: Annotated[str | None, element("fileURI", ANY_URI)] = None
    lfdi: Annotated[str | None, element("lFDI", LFDI)] = None
    mf_hw_ver: Annotated[str | None, element("mfHwVer", STRING32)] = None
    mf_id: Annotated[int | None, element("mfID", UINT32)] = None
    mf_model: Annotated[str | None, element("mfModel", STRING32)] = None
    mf_ser_num: Annotated[str | None, element("mfSerNum", STRING32)] = None
    mf_ver: Annotated[str | None, element("mfVer", STRING16)] = None
    size: Annotated[int | None, element("size", UINT32)] = None
    type: Annotated[int | None, element("type", HEX16)] = None


@dataclass(slots=True, kw_only=True)
class FileList(List):
    """Files on offer."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    files: Annotated[list[File], children("File", File)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class FileStatus(Resource):
    """How far a device is with loading a file; `load_percent` 0..100."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    activate_time: Annotated[int | None, element("activateTime", TIME)] = None
    file_link: Annotated[Link | None, element("FileLink", Link)] = None
    load_percent: Annotated[int | None, element("loadPercent", UINT8)] = None
    next_request_attempt: Annotated[int | None, element("nextRequestAttempt", TIME)] = None
    request_503_count: Annotated[int | None, element("request503Count", UINT16)] = None
    request_fail_count: Annotated[int | None, element("requestFailCount", UINT16)] = None
    status: Annotated[int | None, element("status", UINT8)] = None
    status_time: Annotated[int | None, element("statusTime", TIME)] = None
