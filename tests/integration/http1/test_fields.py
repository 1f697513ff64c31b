"""What is found in the fields of a connection is found once, and never in the fields of another request."""

from starlette.types import Receive, Scope, Send
from structlog.testing import CapturingLogger

from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate
from gateway.problems.documents import Problems
from gateway.request.context import RequestContext, context_of
from gateway.request.fields import Credential
from gateway.request.source import SourceReader
from tests.asgi import leads_to
from tests.fixtures.http1 import EdgeFactory
from tests.raw_http import connected

_GET = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n%b\r\n"


async def _echo(scope: Scope, _receive: Receive, send: Send) -> None:
    """Who asks, and from where."""
    context = context_of(scope)
    credential = context.fields.credential
    said = b"%b from %b" % (credential.text if credential else b"nobody", context.client.encode())
    headers = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


def test_each_request_of_a_connection_is_read_by_its_own_fields(edge_servers: EdgeFactory) -> None:
    """IS7, TH3: a credential or a source is remembered as long as the very same bytes are sent, and no longer."""
    readings = []

    def read(request: RequestContext) -> None:
        if request.fields.credential is None:
            readings.append(request.fields)
            sent = request.fields.by_name.get(b"x-api-key")
            request.fields.credential = Credential(sent, sent, sent) if sent else None

    gate = Gate(
        _echo,
        stages=(leads_to(_echo, "/"), read),
        problems=Problems("https://gateway.test"),
        source=SourceReader(["127.0.0.1"]),
        access=AccessLog(CapturingLogger()),
    )
    one = b"X-API-Key: one\r\nX-Forwarded-For: 192.0.2.1\r\n"
    two = b"X-API-Key: two\r\nX-Forwarded-For: 192.0.2.2\r\n"
    edge = edge_servers(gate)
    answers = []
    with connected(edge.port) as client:
        for fields in (one, one, two, b"", one, one):
            client.send(_GET % fields)
            answers.append(client.answer().body)
    first, second = b"one from 192.0.2.1", b"two from 192.0.2.2"
    assert answers == [first, first, second, b"nobody from 127.0.0.1", first, first]
    assert len(readings) == 4, "and each of them once"
