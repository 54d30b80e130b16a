"""The outbox: what must reach the chain, and every signature that ever carried it."""

from .store import Attempt, Landed, Outbox, OutboxConflict, Outcome, Signed
from .tables import ActionState, AttemptState

__all__ = ["ActionState", "Attempt", "AttemptState", "Landed", "Outbox", "OutboxConflict", "Outcome", "Signed"]
