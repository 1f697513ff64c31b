"""Mail over SMTP (RFC 5321), with TLS and authentication as the settings say."""

import asyncio
import contextlib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, localtime, parseaddr

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
)

from tenants.mail.port import MailRefused, MailUnavailable, Message
from tenants.settings import MailSettings, SmtpTls

_QUIT = 1.0  # seconds
_PERMANENT = 500  # and above: RFC 5321 section 4.2.1


class SmtpSender:
    """Opens a connection for each message: mail is rare, and an idle connection would be closed by the server."""

    def __init__(self, settings: MailSettings) -> None:
        self._settings = settings

    async def send(self, message: Message) -> None:
        """Return when the server has taken the message, within the deadline. Raises MailUnavailable or MailRefused."""
        composed, client = compose(message, self._settings.sender), self._client()
        try:
            async with asyncio.timeout(self._settings.deadline):
                await client.connect()  # with TLS and login
                await self._hand_over(client, composed, message.recipient)
            await _quit(client)
        except (SMTPException, OSError, TimeoutError) as error:
            raise MailUnavailable(f"{type(error).__name__}: {error}") from error
        finally:
            client.close()

    async def _hand_over(self, client: SMTP, composed: EmailMessage, recipient: str) -> None:
        try:
            await client.send_message(composed, sender=self._settings.address, recipients=[recipient])
        except SMTPRecipientsRefused as error:
            raise _outcome(min(each.code for each in error.recipients), "recipient refused") from error
        except SMTPDataError as error:
            raise _outcome(error.code, "message refused") from error
        except SMTPNotSupported as error:  # the address is not ASCII and the server lacks SMTPUTF8
            raise MailRefused(str(error)) from error

    def _client(self) -> SMTP:
        settings = self._settings
        return SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username,
            password=settings.password,
            timeout=settings.deadline,
            use_tls=settings.tls is SmtpTls.IMPLICIT,
            start_tls=settings.tls is SmtpTls.STARTTLS,
            tls_context=None if settings.tls is SmtpTls.NONE else ssl.create_default_context(),
        )


def compose(message: Message, sender: str) -> EmailMessage:
    """The message as it is sent: text, and HTML as its alternative (RFC 2046 section 5.1.4).

    Raises ValueError for a recipient that is no address, or a value with a line break.
    """
    composed = EmailMessage()
    composed["From"] = sender
    composed["To"] = Address(addr_spec=message.recipient)
    composed["Subject"] = message.content.subject
    composed["Date"] = format_datetime(localtime())
    domain = parseaddr(sender)[1].rpartition("@")[2]
    composed["Message-ID"] = f"<{message.id}@{domain}>"
    composed["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence notice answers it
    composed.set_content(message.content.text)
    composed.add_alternative(message.content.html, subtype="html")
    return composed


async def _quit(client: SMTP) -> None:
    # The message is handed over: a server that fails at QUIT must not have it sent again.
    with contextlib.suppress(SMTPException, OSError, TimeoutError):
        async with asyncio.timeout(_QUIT):
            await client.quit()


def _outcome(code: int, what: str) -> MailRefused | MailUnavailable:
    # The code alone: a server's text often repeats the address.
    return MailRefused(f"{what}: {code}") if code >= _PERMANENT else MailUnavailable(f"{what}: {code}")
