"""What sending mail needs of the outside, and what can go wrong with it."""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Content:
    """The rendered parts of a message. They may hold a link that signs in, so they are never printed."""

    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one person. ``id`` names it for good: every attempt to send it carries the same Message-ID."""

    id: UUID
    recipient: str
    content: Content


class MailUnavailable(Exception):
    """The mail server cannot be reached, or cannot or will not send for us now. Trying again may help."""


class MailRefused(Exception):
    """The mail server refused this message or this recipient for good. Trying again does not help."""


class MailSender(Protocol):
    """Sends one message. Has a deadline."""

    async def send(self, message: Message) -> None:
        """Return when the server has taken the message. Raises MailUnavailable or MailRefused."""
