"""The gate: ids, headers, the log line, and what becomes of an error that nobody caught."""

import asyncio
import time
from typing import Any
from uuid import RFC_4122

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import CapturingLogger, capture_logs

from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate, ResponseCutShortError
from gateway.gate.request_id import RequestIds
from gateway.problems.documents import Problems
from gateway.problems.errors import MalformedRequest
from gateway.request.context import context_of
from gateway.request.source import SourceReader
from tenants.errors import NotFound, Unavailable
from tenants.identifiers import API_KEY, REQUEST, TENANT, TenantId, new_id, read, show
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus
from tests.asgi import HOST, call, http_scope, respond_ok, route_to

pytestmark = pytest.mark.anyio

_API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class Edge(Gate):
    """A gate without a stage, and a log that can be read back."""

    def __init__(self, app: ASGIApp, *, template: str = "", share: float = 1.0) -> None:
        self.lines = CapturingLogger()
        super().__init__(
            app,
            stages=(route_to(app, template),),
            problems=Problems("https://gateway.test"),
            source=SourceReader(),
            access=AccessLog(self.lines, share),
        )

    @property
    def line(self) -> dict[str, Any]:
        """The fields of the one line that one request left."""
        (call,) = self.lines.calls
        return dict(call.kwargs)


def test_a_request_id_is_a_typed_id_that_sorts_by_time() -> None:
    source = RequestIds()
    ids = [source.next() for _ in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 5000
    for each in ids:
        value = read(REQUEST, each)
        assert value is not None
        assert show(REQUEST, value) == each
        assert (value.version, value.variant) == (7, RFC_4122)
        assert abs((value.int >> 80) - time.time_ns() // 1_000_000) < 60_000


def test_a_clock_that_is_set_back_makes_no_id_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    source, milliseconds = RequestIds(), [5, 6, 5, 6, 4, 5, 6]
    moments = iter([each * 1_000_000 for each in milliseconds for _ in range(3)])
    monkeypatch.setattr("gateway.gate.request_id.time.time_ns", lambda: next(moments))
    ids = [source.next() for _ in range(3 * len(milliseconds))]
    assert len(set(ids)) == len(ids)


def test_workers_do_not_give_the_same_id() -> None:
    """Two of them count in the same millisecond."""
    workers = [RequestIds() for _ in range(50)]
    ids = [worker.next() for _ in range(100) for worker in workers]
    assert len(set(ids)) == len(ids)


async def test_every_answer_carries_an_id_of_ours() -> None:
    """An id from outside is not taken over: it could forge log lines."""
    scope = http_scope(headers=[HOST, (b"x-request-id", b"req_01h455vb4pex5vsknk084sn02q")])
    edge = Edge(respond_ok)
    answer = await call(edge, scope)
    sent = answer.header("x-request-id")
    assert sent is not None
    assert read(REQUEST, sent)
    assert sent != "req_01h455vb4pex5vsknk084sn02q"
    assert edge.line["request_id"] == sent


async def test_what_stages_set_stands_beside_what_the_answer_sets() -> None:
    async def page(scope: Scope, _receive: Receive, send: Send) -> None:
        context_of(scope).response_headers.append((b"ratelimit", b'"burst";r=9'))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body", "body": b"page"})

    answer = await call(Edge(page), http_scope())
    assert answer.header("ratelimit") == '"burst";r=9'
    assert answer.header("cache-control") == "max-age=60"


async def test_an_error_that_escapes_the_stages_is_a_problem_document() -> None:
    async def refuses(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise MalformedRequest(detail="two Hosts")

    edge = Edge(refuses)
    answer = await call(edge, http_scope())
    assert answer.status == 400
    assert answer.header("content-type") == "application/problem+json"
    assert answer.json()["code"] == "malformed_request"
    assert answer.json()["request_id"] == answer.header("x-request-id")
    assert (edge.line["status"], edge.line["code"], edge.line["detail"]) == (400, "malformed_request", "two Hosts")


async def test_a_crash_shows_nothing_of_the_inside_but_the_request_id() -> None:
    """SE2: neither the exception's text nor its type leaves; the log has both, under the same id."""

    async def crashes(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("the inside of the house")

    edge = Edge(crashes)
    with capture_logs() as logs:
        answer = await call(edge, http_scope())
    assert answer.status == 500
    assert b"inside" not in answer.body
    assert b"RuntimeError" not in answer.body
    assert answer.json()["code"] == "internal"
    assert [(each["event"], each["log_level"]) for each in logs] == [("request_failed", "error")]


async def test_a_crash_after_the_answer_began_never_looks_like_a_clean_end() -> None:
    """PX9's rule for our own answers: the server is told to break the connection, and no second answer is sent."""

    async def crashes_midway(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("lost the rest")

    edge = Edge(crashes_midway)
    with capture_logs(), pytest.raises(ResponseCutShortError):
        await call(edge, http_scope())
    assert edge.line["cut_short"] is True


async def test_an_error_after_the_answer_ended_changes_nothing_for_the_caller() -> None:
    """Starlette raises again what its handlers have answered; the caller has the answer already."""

    async def fails_late(scope: Scope, receive: Receive, send: Send) -> None:
        await respond_ok(scope, receive, send)
        raise Unavailable

    answer = await call(Edge(fails_late), http_scope())
    assert (answer.status, answer.body, answer.ended) == (200, b"ok", True)


async def test_the_line_tells_who_and_what_but_neither_path_nor_query_nor_secret() -> None:
    """SE2."""
    key, tenant = new_id(), TenantId(new_id())
    reference = TenantRef(tenant, "acme", TenantStatus.ACTIVE, "t_1", "t_1", "free")

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        context = context_of(scope)
        context.principal = Principal(PrincipalKind.API_KEY, key, reference, ("member",))
        context.log["upstream"] = "Bearer tn_live_0123456789abcdefghij"
        await respond_ok(scope, receive, send)

    edge = Edge(answers, template="/v1/contacts/{id}")
    secret = b"tn_live_0123456789abcdefghijABCDEFGHIJ0123456"
    await call(
        edge, http_scope(path="/v1/contacts/secret-id", query=b"email=ada@x", headers=[HOST, (b"x-api-key", secret)])
    )
    line = edge.line
    assert line["route"] == "/v1/contacts/{id}"
    assert line["tenant_id"] == show(TENANT, tenant)
    assert line["api_key_id"] == show(API_KEY, key)
    assert (line["method"], line["status"], line["source"]) == ("GET", 200, "192.0.2.1")
    assert line["milliseconds"] >= 0
    for hidden in ("secret-id", "ada@x", "0123456789abcdef"):
        assert hidden not in repr(edge.lines.calls)


async def test_a_path_that_no_route_matches_is_not_logged() -> None:
    """SE2: people put keys into paths."""

    async def unknown(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise NotFound

    edge = Edge(unknown)
    await call(edge, http_scope(path="/v1/tn_live_0123456789abcdefghij"))
    assert edge.line["route"] is None
    assert "tn_live" not in repr(edge.lines.calls)


async def test_of_good_answers_a_share_leaves_a_line_and_every_refusal_does() -> None:
    """A log of everything costs more than the rest of the gate; what went wrong is never left out."""

    async def refuses(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise NotFound

    good, bad = Edge(respond_ok, share=0.2), Edge(refuses, share=0.0)
    for _ in range(500):
        await call(good, http_scope())
    await call(bad, http_scope())
    assert 30 < len(good.lines.calls) < 250
    assert bad.line["status"] == 404


async def test_head_is_answered_as_get_and_logged_as_head() -> None:
    """RFC 9110 section 9.3.2."""
    seen: list[str] = []

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["method"])
        await respond_ok(scope, receive, send)

    edge = Edge(answers)
    await call(edge, http_scope("HEAD"))
    assert (seen, edge.line["method"]) == (["GET"], "HEAD")


async def test_a_cancelled_request_leaves_its_line_and_stays_cancelled() -> None:
    """OP1: a stop must not be taken for a fault."""
    began = asyncio.Event()

    async def waits(_scope: Scope, _receive: Receive, _send: Send) -> None:
        began.set()
        await asyncio.Event().wait()

    edge = Edge(waits)
    task = asyncio.create_task(call(edge, http_scope()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert edge.line["status"] == 0


async def test_a_websocket_cannot_slip_past_the_stages() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def never(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError("reached")

    await Edge(never)({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
