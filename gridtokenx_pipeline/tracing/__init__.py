"""From any certificate, trade, settlement or reading to everything behind it and in front of it."""

from .find import Ambiguous, Found, NotFound
from .nodes import Node, as_dict, failures, pruned
from .trace import trace

__all__ = ["Ambiguous", "Found", "Node", "NotFound", "as_dict", "failures", "pruned", "trace"]
