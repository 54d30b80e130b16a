"""What type checkers see of the lazily imported classes."""

# ruff: noqa: F403
from .base import *
from .billing import *
from .configuration import *
from .dcap import *
from .der import *
from .der_control import *
from .device import *
from .drlc import *
from .edev import *
from .file_download import *
from .flow_reservation import *
from .fsa import *
from .log_event import *
from .messaging import *
from .metering import *
from .mirror import *
from .network import *
from .prepayment import *
from .pricing import *
from .quantities import *
from .response import *
from .subscription import *
from .time import *

__all__: list[str]

def find(name: str) -> type | None: ...
