"""Mail is queued with the change that causes it, and sent by a job of the worker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from procrastinate import App
from sqlalchemy import text

from gateway.development.mail.mailbox import Mailbox
from gateway.development.mail.server import MailSink
from gateway.development.processes import LOOPBACK, free_port
from gateway.features import add_jobs
from tenants.errors import ValidationFailed
from tenants.identifiers import new_id
from tenants.jobs.app import JobSettings, make_job_app
from tenants.jobs.retries import BackOff
from tenants.mail.jobs import MailBackOff, add_mail_jobs
from tenants.mail.port import Content
from tenants.mail.service import SEND_TASK, Mail
from tenants.mail.templates import PasswordReset, render
from tests.fixtures.billing import eventually_so
from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.mail import SENDER, Unwilling, smtp_server

pytestmark = pytest.mark.anyio

_QUICK = MailBackOff(first=0.05, longest=0.1, attempts=100)


class _RolledBack(Exception):
    pass


def _settings(port: int) -> dict[str, Any]:
    return {"smtp_host": LOOPBACK, "smtp_port": port, "smtp_tls": "none", "mail_from": SENDER}


def _mail(gateway: Gateway) -> Mail:
    mail = gateway.services.features.mail
    assert mail is not None
    return mail


def _recipient() -> str:
    return f"{new_id().hex}@example.com"


async def _enqueue(gateway: Gateway, recipient: str, content: Content | None = None) -> str:
    content = content or render(PasswordReset("Acme", "https://acme.example/reset?token=very-secret", 30))
    async with gateway.services.database.control() as session:
        return str(await _mail(gateway).enqueue(session, recipient, content))


async def _enqueue_and_roll_back(gateway: Gateway, recipient: str) -> None:
    async with gateway.services.database.control() as session:
        await _mail(gateway).enqueue(session, recipient, Content("no", "no", "no"))
        raise _RolledBack


@asynccontextmanager
async def _jobs(gateway: Gateway, back_off: BackOff = _QUICK) -> AsyncIterator[App]:
    app = make_job_app(gateway.services.settings.database, JobSettings(polling=0.05))
    add_mail_jobs(app, _mail(gateway), back_off)
    async with app.open_async():
        yield app


async def _jobs_left(gateway: Gateway) -> list[tuple[str, str]]:
    async with gateway.services.database.control() as session:
        query = "SELECT status::text, args::text FROM procrastinate_jobs WHERE task_name = :task"
        rows = await session.execute(text(query), {"task": SEND_TASK})  # not those that the hour brings
        return [(row[0], row[1]) for row in rows]


async def test_mail_leaves_with_the_commit_and_not_without_it(gateways: GatewayFactory, mail_sink: MailSink) -> None:
    """SI5: a real message, through the worker's own list of jobs, read from the sink of `tenantry dev`."""
    kept, dropped = _recipient(), _recipient()
    async with gateways(**_settings(mail_sink.port)) as gateway, httpx.AsyncClient(trust_env=False) as client:
        message = await _enqueue(gateway, kept)
        with pytest.raises(_RolledBack):
            await _enqueue_and_roll_back(gateway, dropped)
        app = make_job_app(gateway.services.settings.database, JobSettings())
        add_jobs(app, gateway.services.features)
        async with app.open_async():
            await app.run_worker_async(wait=False)
        [received] = (await client.get(f"{mail_sink.url}/messages", params={"to": kept})).json()["data"]
        assert received["message_id"] == f"<{message}@acme.example>"
        assert received["subject"] == "Reset your Acme password"
        assert "token=very-secret" in received["text"]
        assert "token=very-secret" in received["html"]
        assert (await client.get(f"{mail_sink.url}/messages", params={"to": dropped})).json()["data"] == []
        assert await _jobs_left(gateway) == []


async def test_a_queued_message_is_sealed(gateways: GatewayFactory) -> None:
    """SE1, SE2: neither the queue nor a dump of it shows who gets a link, or the link."""
    async with gateways(**_settings(free_port())) as gateway:
        await _enqueue(gateway, "ada@example.com")
        [(_, arguments)] = await _jobs_left(gateway)
    for hidden in ("very-secret", "ada@example.com", "password"):
        assert hidden not in arguments


async def test_mail_waits_for_a_server_that_is_down(gateways: GatewayFactory) -> None:
    """OP3: nothing is lost, and each message is sent once when the server is back."""
    port, mailbox = free_port(), Mailbox()
    async with gateways(**_settings(port)) as gateway, _jobs(gateway) as app:
        recipients = [_recipient() for _ in range(3)]
        for each in recipients:
            await _enqueue(gateway, each)
        await app.run_worker_async(wait=False)
        assert [status for status, _ in await _jobs_left(gateway)] == ["todo"] * 3

        async def is_done() -> bool:
            await app.run_worker_async(wait=False)
            return await _jobs_left(gateway) == []

        async with smtp_server(mailbox, port=port):
            await eventually_so(is_done, 10.0)
    assert sorted(each.recipients[0] for each in mailbox.messages()) == sorted(recipients)


async def test_a_message_that_is_refused_for_good_is_not_tried_again(gateways: GatewayFactory) -> None:
    """The job stays, failed and sealed, and holds up no other."""
    handler = Unwilling(recipient_replies=["550 No such user"])
    async with smtp_server(handler) as port, gateways(**_settings(port)) as gateway, _jobs(gateway) as app:
        await _enqueue(gateway, _recipient())
        await app.run_worker_async(wait=False)
        second = _recipient()
        await _enqueue(gateway, second)
        await app.run_worker_async(wait=False)
        assert [status for status, _ in await _jobs_left(gateway)] == ["failed"]
    assert [each.recipients for each in handler.messages()] == [[second]]


async def test_a_message_that_is_sent_twice_has_one_id(gateways: GatewayFactory) -> None:
    """SI5: a worker that dies between sending and saying so has its job done again; mailboxes show it once."""
    handler = Unwilling()
    async with smtp_server(handler) as port, gateways(**_settings(port)) as gateway:
        await _enqueue(gateway, _recipient())
        async with gateway.services.database.control() as session:
            arguments = (await session.execute(text("SELECT args FROM procrastinate_jobs"))).scalar_one()
        for _ in range(2):
            await _mail(gateway).deliver(**arguments)
    first, second = handler.messages()
    assert first.message_id == second.message_id != ""


async def test_a_message_cannot_be_put_under_another_id(gateways: GatewayFactory) -> None:
    """SE1: who can write jobs cannot make ours say what another message said."""
    async with gateways(**_settings(free_port())) as gateway, _jobs(gateway) as app:
        await _enqueue(gateway, _recipient())
        async with gateway.services.database.control() as session:
            other = f'{{"message_id": "{new_id()}"}}'
            await session.execute(text("UPDATE procrastinate_jobs SET args = args || :other"), {"other": other})
        await app.run_worker_async(wait=False)
        assert [status for status, _ in await _jobs_left(gateway)] == ["failed"]


@pytest.mark.parametrize(
    "recipient", ["ada", "a,b@example.com", "a@example.com, b@example.com", "Ada <a@example.com>", "a@b\nBcc: c@d", ""]
)
async def test_a_recipient_is_exactly_one_address(gateways: GatewayFactory, recipient: str) -> None:
    """A list, a name or a line break would send the link to another address."""
    async with gateways(**_settings(free_port())) as gateway:
        with pytest.raises(ValidationFailed):
            await _enqueue(gateway, recipient)
        assert await _jobs_left(gateway) == []


async def test_without_a_mail_server_mail_is_off(gateway: Gateway) -> None:
    """Features see it by its type, and nothing is queued that no sender would send."""
    assert gateway.services.features.mail is None
