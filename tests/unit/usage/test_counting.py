"""When a request is counted: once, after its admission and before the last byte of its response."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import CapturingLogger, capture_logs

from billing.usage.service import Usage
from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate, ResponseCutShortError
from gateway.problems.documents import Problems
from gateway.request.context import RequestContext
from gateway.request.route import PUBLIC, Quota, Route, Terms
from gateway.request.source import SourceReader
from gateway.usage.recorder import UsageRecorder
from gateway.usage.settings import UsageSettings
from gateway.usage.stage import UsageStage
from tenants.database.engine import open_engine
from tenants.database.sessions import Database
from tenants.errors import NotFound, RateLimited
from tenants.settings import DatabaseSettings
from tests.asgi import call, http_scope, request_context, respond_ok, route_to
from tests.fixtures.usage import ROUTE, caller, end

pytestmark = pytest.mark.anyio

_NOWHERE = DatabaseSettings("postgresql://unused@127.0.0.1:1/unused")  # never connected


class Counting:
    """A gate with a known principal and the usage stage, before an application."""

    def __init__(self, folder: Path) -> None:
        self.usage = UsageRecorder(UsageSettings(folder), Database(open_engine(_NOWHERE), _NOWHERE), Usage())
        self.usage.journal.open()
        self.who = caller()

    def before(
        self, app: ASGIApp, *, throttled: bool = False, anonymous: bool = False, template: str = "", cost: int = 1
    ) -> ASGIApp:
        def recognise(request: RequestContext) -> None:
            request.principal = None if anonymous else self.who
            if throttled:
                raise RateLimited

        return Gate(
            app,
            stages=(route_to(app, template, cost), recognise, UsageStage(self.usage)),
            closers=(self.usage.count,),
            problems=Problems("https://gateway.test"),
            source=SourceReader(),
            access=AccessLog(CapturingLogger()),
        )

    def counted(self) -> list[tuple[str, int, int]]:
        """Route, status class and requests of every record."""
        self.usage.journal.finish_current()
        readings = [segment.read() for segment in self.usage.journal.finished]
        pairs = [pair for reading in readings for pair in reading.counts.items()]
        return [(counted.route, counted.status_class, count.requests) for counted, count in pairs]


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Counting]:
    made = Counting(tmp_path)
    yield made
    end(made.usage.journal)


async def test_the_count_is_in_the_journal_before_the_last_byte_leaves(counting: Counting) -> None:
    """Otherwise a kill between the two would lose a request whose response was received."""
    seen: list[tuple[bool, int]] = []

    async def streams(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    async def send(message: Message) -> None:
        words = counting.usage.journal._words
        seen.append((message.get("more_body", message["type"].endswith("start")), sum(map(bool, words[24::24]))))

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await counting.before(streams, template=ROUTE)(http_scope(), receive, send)
    assert seen == [(True, 0), (True, 0), (False, 1)]
    assert counting.counted() == [(ROUTE, 2, 1)]


async def test_requests_are_counted_by_status_class_and_unknown_paths_as_unmatched(counting: Counting) -> None:
    async def unknown(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise NotFound

    for _ in range(2):
        await call(counting.before(unknown), http_scope(path="/v1/somebodys-id"))
    assert counting.counted() == [("unmatched", 4, 2)]


async def test_a_crash_of_the_endpoint_is_counted_as_5xx_once(counting: Counting) -> None:
    async def crashes(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("the inside of the house")

    with capture_logs():
        answer = await call(counting.before(crashes), http_scope())
    assert answer.status == 500
    assert counting.counted() == [("unmatched", 5, 1)]


async def test_a_truncated_response_is_counted_as_5xx(counting: Counting) -> None:
    async def crashes_midway(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("lost the rest")

    with capture_logs(), pytest.raises(ResponseCutShortError):
        await call(counting.before(crashes_midway), http_scope())
    assert counting.counted() == [("unmatched", 5, 1)]


async def test_an_error_after_the_response_is_not_counted_again(counting: Counting) -> None:
    async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
        await respond_ok(scope, receive, send)
        raise RuntimeError("too late to matter")

    with capture_logs():
        await call(counting.before(fails_late), http_scope())
    assert counting.counted() == [("unmatched", 2, 1)]


async def test_a_cancelled_request_is_counted(counting: Counting) -> None:
    began = asyncio.Event()

    async def waits(_scope: Scope, _receive: Receive, _send: Send) -> None:
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(call(counting.before(waits), http_scope()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counting.counted() == [("unmatched", 5, 1)]


async def test_refused_and_anonymous_requests_are_not_counted(counting: Counting) -> None:
    answer = await call(counting.before(respond_ok, throttled=True), http_scope())
    assert answer.status == 429
    await call(counting.before(respond_ok, anonymous=True), http_scope())
    assert counting.counted() == []


async def test_a_request_that_cannot_be_counted_is_not_admitted(counting: Counting) -> None:
    """A full journal is an outage: 503, and nothing counts as used."""
    counting.usage.journal.full = True
    answer = await call(counting.before(respond_ok), http_scope())
    assert (answer.status, answer.json()["code"], answer.header("retry-after")) == (503, "unavailable", "5")
    assert counting.counted() == []


def test_a_request_that_is_charged_to_its_source_is_no_usage(counting: Counting) -> None:
    """Usage counts what the plan is charged for: not a public route, whatever credential is sent to it."""
    for quota, cost in ((None, 3), (Quota(10, 60), 0)):
        request = request_context(http_scope())
        request.principal = counting.who
        request.route = Route("GET", ROUTE, Terms(PUBLIC, cost=3, per_source=quota), respond_ok)
        UsageStage(counting.usage)(request)
        assert request.cost == cost
