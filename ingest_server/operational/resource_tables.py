"""Tables of what devices read: published resources, what devices wrote there themselves, and the trail of changes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, Integer, String, Table, Text

from .tables import METADATA, UtcDateTime

RESOURCES = Table(
    "resources",
    METADATA,
    Column("path", String(255), primary_key=True, comment="Address, without query."),
    Column("owner", String(40), nullable=False, comment="LFDI of the only device that sees it; empty for every device."),
    Column("list_path", String(255), nullable=False, comment="Address of the list it is an item of; empty for none."),
    Column("kind", String(64), nullable=False, comment="Name of its class and element."),
    Column("sort_key", Text, nullable=False, comment="Ascending, it gives the order of the list."),
    Column("at", BigInteger, comment="The time that time-ordered lists are ordered by, epoch seconds."),
    Column("starts_at", BigInteger, comment="Start of an event, epoch seconds, as early as randomisation allows."),
    Column("ends_at", BigInteger, comment="End of an event, epoch seconds, as late as randomisation allows."),
    Column("event_status", Integer, comment="EventStatus.currentStatus as published."),
    Column("extended", Boolean, nullable=False, comment="Holds elements that only some clients may see."),
    Column("fragment", Text, nullable=False, comment="The element, without declaration and namespace."),
    Column("sha256", String(64), nullable=False, comment="Of the fragment; a publication of the same changes nothing."),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index("resources_list", "list_path", "owner", "sort_key"),
)

CHANGES = Table(
    "resource_changes",
    METADATA,
    # SQLite auto-increments only a plain INTEGER primary key.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("path", String(255), nullable=False),
    Column("list_path", String(255), nullable=False),
    Column("owner", String(40), nullable=False),
    Column("removed", Boolean, nullable=False),
    comment="What subscribers have yet to be told; old rows are pruned.",
)

NOTIFICATIONS = Table(
    "notifications",
    METADATA,
    Column("subscription_path", String(255), primary_key=True, comment="The subscription; what is sent is read when it is sent."),
    Column("subscribed_path", String(255), nullable=False, comment="The resource subscribed to."),
    Column("removed", Boolean, nullable=False, comment="The resource is gone."),
    Column("attempts", Integer, nullable=False, comment="Deliveries that failed since the change."),
    Column("created_at", UtcDateTime, nullable=False, comment="When the first change that is not delivered was seen."),
    Column("due_at", UtcDateTime, nullable=False, comment="When to try next."),
    comment="Notifications to deliver: one a subscription, however many changes it stands for.",
)

MARKS = Table(
    "resource_marks",
    METADATA,
    Column("reader", String(64), primary_key=True, comment="Who reads the changes."),
    Column("change_id", BigInteger, nullable=False, comment="The last change it has read."),
)
