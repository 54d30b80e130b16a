"""The outbox's tables: actions, the signed transactions that carried them, and lookup tables that were made for them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Literal

import sqlalchemy as sa

ActionState = Literal["waiting", "sent", "done", "refused", "parked"]
AttemptState = Literal["sent", "confirmed", "failed", "expired"]


class _Utc(sa.TypeDecorator[dt.datetime]):
    """Aware UTC in Python, naive UTC in the database (SQLite has no zones)."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        return None if value is None else value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        return None if value is None else value.replace(tzinfo=dt.UTC)


metadata = sa.MetaData()

ACTIONS = sa.Table(
    "chain_actions",
    metadata,
    sa.Column("action_id", sa.Text, primary_key=True),
    sa.Column("batch_id", sa.Text, nullable=False),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("window_start", _Utc, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("natural_key", sa.Text, nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),
    sa.Column("payload_sha256", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("signature", sa.Text),
    sa.Column("error_code", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("created_at", _Utc, nullable=False),
    sa.Column("updated_at", _Utc, nullable=False),
    sa.CheckConstraint("state IN ('waiting', 'sent', 'done', 'refused', 'parked')", name="chain_action_state"),
    sa.Index("chain_actions_by_batch", "batch_id"),
    sa.Index("chain_actions_by_state", "state", "window_start"),
)
ATTEMPTS = sa.Table(
    "chain_attempts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("batch_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("actions", sa.Integer, nullable=False),
    sa.Column("signature", sa.Text, nullable=False, unique=True),
    sa.Column("payer", sa.Text, nullable=False),
    sa.Column("raw_tx", sa.LargeBinary, nullable=False),
    sa.Column("last_valid_block_height", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("slot", sa.BigInteger),
    sa.Column("fee_lamports", sa.BigInteger),
    sa.Column("compute_units", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Column("created_at", _Utc, nullable=False),
    sa.CheckConstraint("state IN ('sent', 'confirmed', 'failed', 'expired')", name="chain_attempt_state"),
    sa.Index("chain_attempts_by_batch", "batch_id"),
    sa.Index("chain_attempts_by_state", "state"),
)
CARRIED = sa.Table(
    "chain_attempt_actions",
    metadata,
    sa.Column("attempt_id", sa.Integer, sa.ForeignKey(ATTEMPTS.c.id), primary_key=True),
    sa.Column("action_id", sa.Text, sa.ForeignKey(ACTIONS.c.action_id), primary_key=True),
    sa.Column("live", sa.Boolean, nullable=False),
)
# Partial: ended attempts of an action may be many, attempts that can still land or have landed may not.
_LIVE = CARRIED.c.live.is_(True)
sa.Index("chain_actions_one_live", CARRIED.c.action_id, unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE)
sa.Index("chain_attempt_actions_by_action", CARRIED.c.action_id)

LOOKUP_TABLES = sa.Table(
    "chain_lookup_tables",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("cluster", sa.Text, nullable=False),
    sa.Column("authority", sa.Text, nullable=False),
    sa.Column("addresses", sa.Text, nullable=False),
    sa.Column("created_at", _Utc, nullable=False),
)


def in_states(states: Collection[ActionState]) -> sa.ColumnElement[bool]:
    """Return a condition on actions that are asked for by key.

    It hides the index of states, which SQLite would take, to read everything that waits for the few that are asked for.
    """
    return sa.func.coalesce(ACTIONS.c.state, "").in_(list(states))
