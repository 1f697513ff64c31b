"""Sending over SMTP, against servers that take, refuse, hang, and ask for TLS and a login."""

import asyncio
import socket
import ssl
import time
from dataclasses import replace
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from gateway.development.mail.mailbox import Mailbox
from gateway.development.processes import LOOPBACK, free_port
from tenants.identifiers import new_id
from tenants.mail.port import Content, MailRefused, MailUnavailable, Message
from tenants.mail.smtp import SmtpSender
from tenants.settings import MailSettings, SmtpTls
from tests.fixtures.mail import SENDER, Unwilling, smtp_server

pytestmark = pytest.mark.anyio

_CONTENT = Content("Grüße", "Hello Ada", "<p>Hello Ada</p>")


def _settings(port: int, **changes: Any) -> MailSettings:
    plain = MailSettings(LOOPBACK, SENDER, port=port, tls=SmtpTls.NONE, deadline=5.0)
    return replace(plain, **changes)


async def _send(settings: MailSettings, recipient: str = "ada@example.com") -> Message:
    message = Message(new_id(), recipient, _CONTENT)
    await SmtpSender(settings).send(message)
    return message


async def test_a_message_arrives_with_both_parts_and_its_own_id() -> None:
    mailbox = Mailbox()
    async with smtp_server(mailbox) as port:
        message = await _send(_settings(port))
    [received] = mailbox.messages()
    assert (received.sender, received.recipients) == ("no-reply@acme.example", ["ada@example.com"])
    assert (received.subject, received.text.strip(), received.html.strip()) == (
        "Grüße",
        "Hello Ada",
        "<p>Hello Ada</p>",
    )
    assert received.message_id == f"<{message.id}@acme.example>"


@pytest.mark.usefixtures("trusted")
async def test_starttls_is_required_and_never_left_out(server_tls: ssl.SSLContext) -> None:
    """SE2: a server that does not offer TLS, as one in the middle would not, gets no message."""
    mailbox = Mailbox()
    async with smtp_server(mailbox, tls_context=server_tls, require_starttls=True) as port:
        await _send(_settings(port, tls=SmtpTls.STARTTLS))
    assert len(mailbox.messages()) == 1
    async with smtp_server(mailbox) as port:
        with pytest.raises(MailUnavailable):
            await _send(_settings(port, tls=SmtpTls.STARTTLS))
    assert len(mailbox.messages()) == 1


@pytest.mark.usefixtures("trusted")
async def test_implicit_tls_reaches_a_server_that_speaks_nothing_else(server_tls: ssl.SSLContext) -> None:
    """RFC 8314 section 3."""
    mailbox = Mailbox()
    async with smtp_server(mailbox, tls=server_tls) as port:
        await _send(_settings(port, tls=SmtpTls.IMPLICIT))
    assert len(mailbox.messages()) == 1


@pytest.mark.parametrize("tls", [SmtpTls.STARTTLS, SmtpTls.IMPLICIT])
async def test_a_certificate_that_nobody_vouches_for_is_refused(server_tls: ssl.SSLContext, tls: SmtpTls) -> None:
    """SE2: an impostor of the server could read the password and the links in the mail."""
    mailbox = Mailbox()
    implicit = server_tls if tls is SmtpTls.IMPLICIT else None
    starttls: dict[str, Any] = {"tls_context": server_tls} if tls is SmtpTls.STARTTLS else {}
    async with smtp_server(mailbox, implicit, **starttls) as port:
        with pytest.raises(MailUnavailable, match="certificate"):
            await _send(_settings(port, tls=tls))
    assert mailbox.messages() == []


@pytest.mark.usefixtures("trusted")
async def test_a_login_is_used_and_a_refused_one_shows_no_password(server_tls: ssl.SSLContext) -> None:
    """SE2: a wrong password is an operator's to repair, so the message waits."""
    mailbox = Mailbox()

    def check(*arguments: Any) -> AuthResult:
        given = arguments[-1]
        assert isinstance(given, LoginPassword)
        return AuthResult(success=(given.login, given.password) == (b"acme", b"hunter2"), handled=False)

    options: dict[str, Any] = {"tls_context": server_tls, "authenticator": check, "auth_required": True}
    login = {"tls": SmtpTls.STARTTLS, "username": "acme", "password": "hunter2"}
    async with smtp_server(mailbox, **options) as port:
        await _send(_settings(port, **login))
        with pytest.raises(MailUnavailable, match="Authentication") as refused:
            await _send(_settings(port, **login | {"password": "hunter3"}))
    assert len(mailbox.messages()) == 1
    assert "hunter" not in str(refused.value)
    assert "hunter2" not in repr(_settings(1, **login))


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (Unwilling(recipient_replies=["550 No such user ada@example.com"]), MailRefused),
        (Unwilling(recipient_replies=["451 Greylisted ada@example.com"]), MailUnavailable),
        (Unwilling(data_replies=["554 Looks like spam to ada@example.com"]), MailRefused),
        (Unwilling(data_replies=["452 Disk full, ada@example.com"]), MailUnavailable),
    ],
)
async def test_a_refusal_for_good_is_told_from_one_for_now(handler: Unwilling, error: type[Exception]) -> None:
    """RFC 5321 section 4.2.1. The server's text, which repeats the address, is in no error that is logged."""
    async with smtp_server(handler) as port:
        with pytest.raises(error) as refused:
            await _send(_settings(port))
    assert "ada@example.com" not in str(refused.value)


async def test_a_server_that_is_not_there_or_says_nothing_is_unavailable_within_the_deadline() -> None:
    """OP3: no job waits for ever."""
    with pytest.raises(MailUnavailable):
        await _send(_settings(free_port()))
    with socket.create_server((LOOPBACK, 0)) as silent:  # the kernel accepts, nobody reads
        began = time.monotonic()
        with pytest.raises(MailUnavailable):
            await _send(_settings(silent.getsockname()[1], deadline=1.0))
        assert time.monotonic() - began < 4.0


async def test_a_server_that_fails_after_it_took_the_message_does_not_get_it_again() -> None:
    """A message that was handed over is sent, whatever becomes of QUIT."""
    released = asyncio.Event()

    class SilentAtQuit(Mailbox):
        async def handle_QUIT(self, *_: object) -> str:  # noqa: N802 - the library's name
            await released.wait()
            return "221 Bye"

    mailbox = SilentAtQuit()
    async with smtp_server(mailbox) as port:
        await _send(_settings(port))
        released.set()
    assert len(mailbox.messages()) == 1
