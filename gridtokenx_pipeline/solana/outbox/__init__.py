"""The outbox: what must reach the chain, and every signature that ever carried it."""

from .records import Attempt, Landed, OutboxConflict, Outcome, Signed
from .store import Outbox
from .tables import ActionState, AttemptState

__all__ = ["ActionState", "Attempt", "AttemptState", "Landed", "Outbox", "OutboxConflict", "Outcome", "Signed"]
