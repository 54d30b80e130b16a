"""The outbox: which actions must reach the chain, and every signature that ever carried some.

A signed transaction lands at most once, so its signature is its idempotency key; what could double an action is a second
signature while the first may still land. The tables forbid that: an action is in one attempt at most that can still land or has
landed, by a unique index, and an action that has ended takes no attempt.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from gridtokenx_pipeline import clock

from ..actions import Action, Refusal, in_order
from .engine import chunks, open_engine
from .records import Attempt, Landed, OutboxConflict, Outcome, Signed
from .tables import ACTIONS, ATTEMPTS, CARRIED, LOOKUP_TABLES, ActionState, AttemptState, in_states, metadata

_ACTION = ("action_id", "batch_id", "zone", "window_start", "kind", "natural_key", "arguments")
_STUCK: tuple[ActionState, ...] = ("refused", "parked")


class Outbox:
    """The tables at an SQLAlchemy URL (SQLite file or PostgreSQL). Every method is one transaction."""

    def __init__(self, url: str):
        """Connect and create what is missing. Raises `ValueError` for an in-memory database, which could not outlive a crash."""
        self.url = sa.make_url(url)
        self.engine = open_engine(self.url)
        self.create_all()

    def create_all(self) -> None:
        """Create the tables and indexes that are missing; the constructor has done so already."""
        metadata.create_all(self.engine)

    def close(self) -> None:
        """Return all connections."""
        self.engine.dispose()

    def enqueue(self, actions: Iterable[Action]) -> int:
        """Add the actions that are not there yet as `waiting`; return how many were new.

        Raises `OutboxConflict`, adding none, where an id is there with another payload.
        """
        wanted: dict[str, Action] = {}
        for action in actions:
            if wanted.setdefault(action.action_id, action) != action:
                raise OutboxConflict(f"action {action.action_id} was asked for with two payloads")
        now, added = clock.now(), 0
        insert = sqlite.insert if self.engine.dialect.name == "sqlite" else postgresql.insert
        with self.engine.begin() as connection:
            for chunk in chunks(list(wanted.values())):
                query = sa.select(ACTIONS.c.action_id, ACTIONS.c.payload_sha256).where(
                    ACTIONS.c.action_id.in_([action.action_id for action in chunk])
                )
                stored = dict(connection.execute(query).tuples().all())
                digests = {action.action_id: action.payload_sha256 for action in chunk}
                for action in chunk:
                    if stored.get(action.action_id, digests[action.action_id]) != digests[action.action_id]:
                        raise OutboxConflict(f"action {action.action_id} is in the outbox with another payload")
                rows = [
                    {name: getattr(action, name) for name in _ACTION}
                    | {"payload_sha256": digests[action.action_id], "state": "waiting", "created_at": now, "updated_at": now}
                    for action in chunk
                    if action.action_id not in stored
                ]
                if rows:
                    connection.execute(insert(ACTIONS).on_conflict_do_nothing(index_elements=["action_id"]), rows)
                added += len(rows)
        return added

    def actions(
        self,
        *,
        action_ids: Collection[str] | None = None,
        batch_ids: Collection[str] | None = None,
        states: Collection[ActionState] | None = None,
    ) -> list[Action]:
        """Return actions in the order they are sent: all, or those of these ids, batches and states."""
        return [outcome.action for outcome in self.outcomes(action_ids=action_ids, batch_ids=batch_ids, states=states)]

    def outcomes(
        self,
        *,
        action_ids: Collection[str] | None = None,
        batch_ids: Collection[str] | None = None,
        states: Collection[ActionState] | None = None,
    ) -> list[Outcome]:
        """Return how actions stand, in the order they are sent: all, or those of these ids, batches and states."""
        query = sa.select(ACTIONS)
        if states is not None:
            by_key = action_ids is not None or batch_ids is not None
            query = query.where(in_states(states) if by_key else ACTIONS.c.state.in_(list(states)))
        rows = self._select(query, ((ACTIONS.c.action_id, action_ids), (ACTIONS.c.batch_id, batch_ids)))
        found = {
            row["action_id"]: Outcome(
                Action(*(row[name] for name in _ACTION)),
                row["state"],
                row["signature"],
                row["error_code"],
                row["error"],
                row["updated_at"],
            )
            for row in rows
        }
        return [found[action.action_id] for action in in_order([outcome.action for outcome in found.values()])]

    def attempts(self, batch_ids: Collection[str] | None = None, state: AttemptState | None = None) -> list[Attempt]:
        """Return attempts in the order they were made: all, or those of `batch_ids` and `state`."""
        query = sa.select(ATTEMPTS)
        if state is not None:
            query = query.where(ATTEMPTS.c.state == state)
        rows = self._select(query, ((ATTEMPTS.c.batch_id, batch_ids),))
        return sorted((Attempt(**row) for row in rows), key=lambda attempt: attempt.id)

    def last_attempt(self) -> int:
        """Return the highest id of an attempt, 0 where there is none."""
        with self.engine.begin() as connection:
            return int(connection.scalar(sa.select(sa.func.max(ATTEMPTS.c.id))) or 0)

    def open_attempts(self) -> list[Attempt]:
        """Return the attempts whose end is not known yet."""
        return self.attempts(state="sent")

    def carried_by(self, attempt_id: int) -> list[Action]:
        """Return the actions that an attempt carried."""
        query = sa.select(CARRIED.c.action_id).where(CARRIED.c.attempt_id == attempt_id)
        with self.engine.begin() as connection:
            ids = list(connection.scalars(query))
        return self.actions(action_ids=ids)

    def counts(self) -> dict[ActionState, int]:
        """Return how many actions are in each state."""
        with self.engine.begin() as connection:
            found = connection.execute(sa.select(ACTIONS.c.state, sa.func.count()).group_by(ACTIONS.c.state)).tuples().all()
        return dict(found)  # type: ignore[arg-type]

    def retry(self, action_ids: Collection[str]) -> int:
        """Make refused and parked actions `waiting` again, after the reason was removed; return how many were."""
        return self._move(action_ids, _STUCK, {"state": "waiting", "error_code": None, "error": None})

    def park(self, action_ids: Collection[str], reason: str) -> int:
        """Keep waiting and refused actions from being sent until `retry`; return how many were waiting or refused."""
        return self._move(action_ids, ("waiting", "refused"), {"state": "parked", "error": reason})

    def park_refused(self, refusals: Mapping[str, Refusal]) -> None:
        """Park waiting actions that the chain would refuse, each with the code it would get."""
        self._end(refusals, "parked")

    def refuse(self, refusals: Mapping[str, Refusal], signature: str | None = None) -> None:
        """The chain refuses these waiting actions for good. `signature` is of the transaction that showed it, if one landed."""
        self._end(refusals, "refused", signature)

    def finish(self, action_ids: Collection[str]) -> None:
        """These waiting actions are on chain already, by another transaction than any of ours."""
        self._move(action_ids, ("waiting",), {"state": "done", "error_code": None, "error": None})

    def record_attempts(self, signed: Sequence[Signed]) -> list[Attempt]:
        """Store signed transactions before they are sent; their actions become `sent`.

        Raises `OutboxConflict`, storing none, where an action is unknown, has ended, or is in an attempt that may still land.
        """
        now = clock.now()
        made = []
        try:
            with self.engine.begin() as connection:
                for one in signed:
                    values = {
                        "batch_id": one.actions[0].batch_id,
                        "kind": "+".join(dict.fromkeys(action.kind for action in one.actions)),
                        "actions": len(one.actions),
                        "signature": one.signature,
                        "payer": one.payer,
                        "raw_tx": one.raw_tx,
                        "last_valid_block_height": one.last_valid_block_height,
                        "state": "sent",
                        "created_at": now,
                    }
                    key = connection.execute(ATTEMPTS.insert().values(values)).inserted_primary_key
                    assert key is not None
                    ids = [action.action_id for action in one.actions]
                    connection.execute(CARRIED.insert(), [{"attempt_id": key[0], "action_id": i, "live": True} for i in ids])
                    if self._move_in(connection, ids, ("waiting",), {"state": "sent", "signature": one.signature}) != len(ids):
                        raise OutboxConflict(f"transaction {one.signature}: not all of its actions wait to be sent")
                    made.append(
                        Attempt(**values, id=key[0], slot=None, fee_lamports=None, compute_units=None, error=None)  # type: ignore[arg-type]
                    )
        except sa.exc.IntegrityError as error:
            raise OutboxConflict("an action is in a transaction that may still land") from error
        return made

    def settle_attempts(self, landed: Sequence[Landed]) -> None:
        """Transactions landed: without an error they are `confirmed` and their actions `done`, else `failed`, their actions wait.

        Repeating it changes nothing. Raises `OutboxConflict`, settling none, where one ended otherwise before.
        """
        with self.engine.begin() as connection:
            for one in landed:
                outcome = {"slot": one.slot, "fee_lamports": one.fee_lamports, "compute_units": one.compute_units}
                if one.error is None:
                    of_actions: dict[str, Any] = {"state": "done", "error_code": None, "error": None}
                    self._settle(connection, one.attempt_id, "confirmed", of_actions, outcome)
                else:
                    self._settle(connection, one.attempt_id, "failed", {"state": "waiting"}, outcome | {"error": one.error})

    def fail_attempt(self, attempt_id: int, *, error: str) -> None:
        """The transaction was refused before it could land: it is `failed`, its actions wait. Repeating it changes nothing."""
        with self.engine.begin() as connection:
            self._settle(connection, attempt_id, "failed", {"state": "waiting", "signature": None}, {"error": error})

    def expire_attempt(self, attempt_id: int) -> None:
        """The transaction can never land any more: it is `expired`, its actions wait again."""
        with self.engine.begin() as connection:
            again = {"state": "waiting", "signature": None}
            self._settle(connection, attempt_id, "expired", again, {"error": "blockhash expired"})

    def lookup_tables(self, cluster: str, authority: str) -> dict[str, list[str]]:
        """Return the addresses that each lookup table of `authority` on `cluster` (a genesis hash) holds, in their order."""
        query = sa.select(LOOKUP_TABLES.c.address, LOOKUP_TABLES.c.addresses).where(
            LOOKUP_TABLES.c.cluster == cluster, LOOKUP_TABLES.c.authority == authority
        )
        with self.engine.begin() as connection:
            rows = connection.execute(query.order_by(LOOKUP_TABLES.c.created_at, LOOKUP_TABLES.c.address)).tuples().all()
        return {address: json.loads(text) for address, text in rows}

    def keep_lookup_table(self, cluster: str, authority: str, address: str, addresses: Sequence[str]) -> None:
        """Remember a lookup table and what it holds; more than before, where it is known."""
        values = {"cluster": cluster, "authority": authority, "addresses": json.dumps(list(addresses))}
        insert = sqlite.insert if self.engine.dialect.name == "sqlite" else postgresql.insert
        statement = insert(LOOKUP_TABLES).values(address=address, created_at=clock.now(), **values)
        with self.engine.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["address"], set_=values))

    def _select(
        self, query: sa.Select[Any], limits: Sequence[tuple[sa.ColumnElement[str], Collection[str] | None]]
    ) -> Iterator[dict[str, Any]]:
        parts = [query]
        for column, keys in limits:
            if keys is not None:
                parts = [part.where(column.in_(chunk)) for part in parts for chunk in chunks(list(dict.fromkeys(keys)))]
        with self.engine.begin() as connection:
            rows = [dict(row) for part in parts for row in connection.execute(part).mappings()]
        return iter(rows)

    def _end(self, refusals: Mapping[str, Refusal], state: ActionState, signature: str | None = None) -> None:
        with self.engine.begin() as connection:
            for action_id, refusal in refusals.items():
                values = {"state": state, "signature": signature, "error_code": refusal.code, "error": refusal.reason}
                self._move_in(connection, [action_id], ("waiting",), values)

    def _move(self, action_ids: Collection[str], from_states: Sequence[ActionState], values: Mapping[str, Any]) -> int:
        with self.engine.begin() as connection:
            return self._move_in(connection, list(action_ids), from_states, values)

    @staticmethod
    def _move_in(
        connection: sa.Connection, action_ids: Sequence[str], from_states: Sequence[ActionState], values: Mapping[str, Any]
    ) -> int:
        return sum(
            connection.execute(
                ACTIONS.update()
                .where(ACTIONS.c.action_id.in_(chunk), in_states(from_states))
                .values(updated_at=clock.now(), **values)
            ).rowcount
            for chunk in chunks(list(action_ids))
        )

    def _settle(
        self,
        connection: sa.Connection,
        attempt_id: int,
        state: AttemptState,
        of_actions: Mapping[str, Any],
        outcome: Mapping[str, Any],
    ) -> None:
        query = sa.select(ATTEMPTS.c.state, ATTEMPTS.c.signature).where(ATTEMPTS.c.id == attempt_id)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise OutboxConflict(f"attempt {attempt_id} is not in the outbox")
        if row.state == state:
            return
        if row.state != "sent":
            raise OutboxConflict(f"transaction {row.signature} is {row.state}, so it cannot become {state}")
        connection.execute(ATTEMPTS.update().where(ATTEMPTS.c.id == attempt_id).values(state=state, **outcome))
        ids = list(connection.scalars(sa.select(CARRIED.c.action_id).where(CARRIED.c.attempt_id == attempt_id)))
        self._move_in(connection, ids, ("sent",), of_actions)
        if state != "confirmed":
            connection.execute(CARRIED.update().where(CARRIED.c.attempt_id == attempt_id).values(live=False))
