"""Subscription and notification (IEEE 2030.5-2018, subscription/notification mechanism)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import List, Resource
from .fields import attribute, children, element
from .types import ANY_URI, INT48, STRING16, UINT8, UINT32


@dataclass(slots=True, kw_only=True)
class Condition:
    """A notification is due where the watched value leaves the range between the thresholds."""

    attribute_identifier: Annotated[int | None, element("attributeIdentifier", UINT8)] = None
    lower_threshold: Annotated[int | None, element("lowerThreshold", INT48)] = None
    upper_threshold: Annotated[int | None, element("upperThreshold", INT48)] = None


@dataclass(slots=True, kw_only=True)
class SubscriptionBase(Resource):
    """What a subscription and its notifications share: the path of the watched resource."""

    subscribed_resource: Annotated[str | None, element("subscribedResource", ANY_URI)] = None


@dataclass(slots=True, kw_only=True)
class Subscription(SubscriptionBase):
    """A client's wish to be told of changes at `notification_uri`; `encoding` 0 is XML; `limit` bounds the list items sent."""

    condition: Annotated[Condition | None, element("Condition", Condition)] = None
    encoding: Annotated[int | None, element("encoding", UINT8)] = None
    level: Annotated[str | None, element("level", STRING16)] = None
    limit: Annotated[int | None, element("limit", UINT32)] = None
    notification_uri: Annotated[str | None, element("notificationURI", ANY_URI)] = None


@dataclass(slots=True, kw_only=True)
class SubscriptionList(List):
    """A device's subscriptions."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    subscriptions: Annotated[list[Subscription], children("Subscription", Subscription)] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Notification(SubscriptionBase):
    """What a subscriber is sent: the changed resource, of any class; a `status` other than 0 says why the subscription ended."""

    new_resource_uri: Annotated[str | None, element("newResourceURI", ANY_URI)] = None
    resource: Annotated[Resource | None, element("Resource", Resource, polymorphic=True)] = None
    status: Annotated[int | None, element("status", UINT8)] = None
    subscription_uri: Annotated[str | None, element("subscriptionURI", ANY_URI)] = None


@dataclass(slots=True, kw_only=True)
class NotificationList(List):
    """Notifications, for subscribers that keep them as resources."""

    notifications: Annotated[list[Notification], children("Notification", Notification)] = field(default_factory=list)
