"""Text messages to customers (IEEE 2030.5-2018, messaging function set)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from .base import Event, ListLink, SubscribableIdentifiedObject, SubscribableList
from .fields import attribute, children, element
from .types import STRING20, STRING42, TEXT, UINT8, UINT32


@dataclass(slots=True, kw_only=True)
class MessagingProgram(SubscribableIdentifiedObject):
    """A source of text messages; `primacy` 0 is the strongest."""

    active_text_message_list_link: Annotated[ListLink | None, element("ActiveTextMessageListLink", ListLink)] = None
    locale: Annotated[str | None, element("locale", STRING42)] = None
    primacy: Annotated[int | None, element("primacy", UINT8)] = None
    text_message_list_link: Annotated[ListLink | None, element("TextMessageListLink", ListLink)] = None


@dataclass(slots=True, kw_only=True)
class MessagingProgramList(SubscribableList):
    """Messaging programs, by descending mRID."""

    poll_rate: Annotated[int | None, attribute("pollRate", UINT32)] = None
    messaging_programs: Annotated[list[MessagingProgram], children("MessagingProgram", MessagingProgram)] = field(
        default_factory=list
    )


@dataclass(slots=True, kw_only=True)
class TextMessage(Event):
    """A message to the customer, shown during its interval; `priority` 0 low to 3 critical."""

    originator: Annotated[str | None, element("originator", STRING20)] = None
    priority: Annotated[int | None, element("priority", UINT8)] = None
    text_message: Annotated[str | None, element("textMessage", TEXT)] = None


@dataclass(slots=True, kw_only=True)
class TextMessageList(SubscribableList):
    """Text messages, latest start first."""

    text_messages: Annotated[list[TextMessage], children("TextMessage", TextMessage)] = field(default_factory=list)
