"""The outbox: what must reach the chain, and every signature that ever carried it."""

from .store import Attempt, Outbox, OutboxConflict, Outcome, Signed
from .tables import ActionState, AttemptState

__all__ = ["ActionState", "Attempt", "AttemptState", "Outbox", "OutboxConflict", "Outcome", "Signed"]
