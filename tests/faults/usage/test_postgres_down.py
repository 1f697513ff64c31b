"""PostgreSQL stops while requests are counted: the journal keeps them until it is back."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.development.postgres import LocalPostgres
from tests.fixtures.gateways import Gateway, Template, make_template, running_gateway
from tests.fixtures.servers import PostgresFactory
from tests.fixtures.usage import requests_of

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

_MINUTE = 60.0  # seconds: the tests call the rounds themselves


@pytest.fixture
def server(start_postgres: PostgresFactory) -> LocalPostgres:
    return start_postgres()


@pytest.fixture
def template(server: LocalPostgres) -> Template:
    return make_template(server)


async def _ask(gateway: Gateway, times: int) -> None:
    for _ in range(times):
        # Charged to the plan, and answered without PostgreSQL: what has that form is no id.
        answer = await gateway.client.get("/v1/contacts/no-id", headers=gateway.acme.key("viewer"))
        assert answer.status_code == 404, answer.text


async def _round(gateway: Gateway) -> None:
    gateway.services.usage.journal.finish_current()
    await gateway.services.usage.flusher.round()


async def test_requests_counted_while_postgresql_is_down_are_flushed_when_it_is_back(
    server: LocalPostgres, template: Template, tmp_path: Path
) -> None:
    """Cached credentials keep working for a bounded time (docs/architecture.md), and their requests are counted."""
    async with running_gateway(template, template.urls, usage_folder=tmp_path, usage_flush_seconds=_MINUTE) as gateway:
        await _ask(gateway, 10)
        await _round(gateway)
        before = requests_of(template.urls.superuser)
        server.stop()
        with capture_logs() as logs:
            for _ in range(3):
                await _ask(gateway, 10)
                await _round(gateway)
        events = [line["event"] for line in logs if line["event"].startswith("usage")]
        assert events == ["usage_flush_unavailable"]  # an outage is logged once
        assert len(gateway.services.usage.journal.finished) == 3
        server.start()
        await _round(gateway)
        assert (before, requests_of(template.urls.superuser)) == (10, 40)
        assert not gateway.services.usage.journal.finished


async def test_what_a_stopping_worker_could_not_flush_is_flushed_after_the_next_start(
    server: LocalPostgres, template: Template, tmp_path: Path
) -> None:
    async with running_gateway(template, template.urls, usage_folder=tmp_path, usage_flush_seconds=_MINUTE) as gateway:
        await _ask(gateway, 5)
        server.stop()
    for segment in gateway.services.usage.journal.finished:
        segment.close()  # the end of the process, which releases its locks
    server.start()
    async with running_gateway(template, template.urls, usage_folder=tmp_path, usage_flush_seconds=_MINUTE) as gateway:
        await _round(gateway)
        assert requests_of(template.urls.superuser) == 5
