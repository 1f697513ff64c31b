"""What the sink has received: the latest messages, in memory."""

from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import count
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

_MOST = 1_000  # messages; older ones are forgotten
_MESSAGE_BYTES = 10 * 2**20


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A message as it arrived. ``sender`` and ``recipients`` are those of the envelope (RFC 5321)."""

    number: int
    received_at: str  # RFC 3339
    message_id: str
    sender: str
    recipients: list[str]
    subject: str
    text: str
    html: str

    def as_json(self) -> dict[str, Any]:
        """Every field."""
        return asdict(self)


class Mailbox:
    """Handler of aiosmtpd: accepts every message."""

    def __init__(self) -> None:
        self._messages: deque[ReceivedMail] = deque(maxlen=_MOST)
        self._numbers = count(1)

    async def handle_DATA(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep the message; the SMTP reply."""
        del server, session
        self._messages.append(_received(next(self._numbers), envelope))
        return "250 OK"

    def messages(self, recipient: str | None = None) -> list[ReceivedMail]:
        """The newest first; those to one recipient when it is given."""
        return [each for each in reversed(self._messages) if recipient is None or recipient in each.recipients]

    def find(self, number: int) -> ReceivedMail | None:
        """The message of this number, while it is remembered."""
        return next((each for each in self._messages if each.number == number), None)

    def clear(self) -> None:
        """Forget every message."""
        self._messages.clear()


def smtp_protocol(handler: object, **options: Any) -> SMTP:
    """The server's side of one connection; ``options`` are those of ``aiosmtpd.smtp.SMTP``."""
    return SMTP(handler, data_size_limit=_MESSAGE_BYTES, enable_SMTPUTF8=True, hostname="localhost", **options)


def _received(number: int, envelope: Envelope) -> ReceivedMail:
    raw = envelope.content or b""
    message = message_from_bytes(raw if isinstance(raw, bytes) else raw.encode(), policy=policy.default)
    return ReceivedMail(
        number=number,
        received_at=datetime.now(UTC).isoformat(),
        message_id=str(message.get("Message-ID", "")),
        sender=envelope.mail_from or "",
        recipients=list(envelope.rcpt_tos),
        subject=str(message.get("Subject", "")),
        text=_part(message, "plain"),
        html=_part(message, "html"),
    )


def _part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    return "" if body is None else str(body.get_content())
