"""Mail of the product: queued in the transaction of the change that causes it, and sent by a job."""

import base64
import binascii
from typing import Annotated
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, Field

from tenants.database.sessions import ControlSession
from tenants.errors import ValidationFailed
from tenants.identifiers import new_id
from tenants.jobs.queue import JobQueue
from tenants.mail.port import Content, MailRefused, MailSender, Message
from tenants.secrets.sealing import SealedRow, Sealer
from tenants.values.addresses import one_address
from tenants.values.errors import BadValue

SEND_TASK = "mail.send"
QUEUED_MAIL = "queued mail"  # purpose of the sealed message

_log = structlog.get_logger(__name__)


class _Queued(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    recipient: Annotated[str, Field(repr=False)]
    subject: str
    text: Annotated[str, Field(repr=False)]
    html: Annotated[str, Field(repr=False)]


class Mail:
    """``enqueue`` runs in the caller's transaction; ``deliver`` is what the job does, without the database.

    A message waits in the job's arguments. It may hold a link that signs in, so it is sealed: neither a dump of the
    queue nor a job that failed and stays shows it.
    """

    def __init__(self, queue: JobQueue, sealer: Sealer, sender: MailSender) -> None:
        self._queue = queue
        self._sealer = sealer
        self._sender = sender

    async def enqueue(self, session: ControlSession, recipient: str, content: Content) -> UUID:
        """Queue a message: it is sent if the caller's transaction commits. Returns the message's id.

        Raises ValidationFailed for a recipient that is not one address.
        """
        message = Message(UUID(str(new_id())), _one_address(recipient), content)
        plain = _Queued(recipient=recipient, subject=content.subject, text=content.text, html=content.html)
        sealed = self._sealer.seal(SealedRow(None, message.id), plain.model_dump_json().encode())
        text = base64.b64encode(sealed).decode()
        await self._queue.enqueue(session, SEND_TASK, message_id=str(message.id), sealed=text)
        return message.id

    async def deliver(self, message_id: str, sealed: str) -> None:
        """Send a queued message. Raises MailUnavailable, and MailRefused when it can never be sent.

        A job that was cut short is run again, so a message may be sent twice, with the same Message-ID.
        """
        message = self._opened(UUID(message_id), sealed)
        await self._sender.send(message)
        _log.info("mail_sent", message_id=message_id)

    def _opened(self, message_id: UUID, sealed: str) -> Message:
        try:
            envelope = base64.b64decode(sealed, validate=True)
        except binascii.Error as error:
            raise MailRefused("the queued message is damaged") from error
        plain = self._sealer.open(SealedRow(None, message_id), envelope)
        if plain is None:
            raise MailRefused("the queued message cannot be opened: its key is gone")
        queued = _Queued.model_validate_json(plain)
        return Message(message_id, queued.recipient, Content(queued.subject, queued.text, queued.html))


def _one_address(text: str) -> str:
    try:
        return one_address(text)
    except BadValue as error:
        raise ValidationFailed.at("/email", error.code, error.message) from error
