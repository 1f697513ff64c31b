"""What stages derive from header fields is reused for equal fields of one connection, and never for others."""

from starlette.types import Receive, Scope, Send
from structlog.testing import CapturingLogger

from gateway.gate.access_log import AccessLog
from gateway.gate.gate import Gate
from gateway.problems.documents import Problems
from gateway.request.context import RequestContext, context_of
from gateway.request.fields import Credential
from gateway.request.source import SourceReader
from tests.asgi import route_to
from tests.fixtures.http1 import StartServer
from tests.raw_http import connected

_GET = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n%b\r\n"


async def _echo(scope: Scope, _receive: Receive, send: Send) -> None:
    """Responds with the credential and the source."""
    context = context_of(scope)
    credential = context.fields.credential
    body = b"%b from %b" % (credential.text if credential else b"anonymous", context.client.encode())
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def test_derived_values_are_reused_only_for_identical_fields(start_server: StartServer) -> None:
    """IS7, TH3: a credential or a source is reused only while the client sends the same bytes."""
    readings = []

    def read(request: RequestContext) -> None:
        if request.fields.credential is None:
            readings.append(request.fields)
            sent = request.fields.by_name.get(b"x-api-key")
            request.fields.credential = Credential(sent, sent, sent) if sent else None

    gate = Gate(
        _echo,
        stages=(route_to(_echo, "/"), read),
        problems=Problems("https://gateway.test"),
        source=SourceReader(["127.0.0.1"]),
        access=AccessLog(CapturingLogger()),
    )
    one = b"X-API-Key: one\r\nX-Forwarded-For: 192.0.2.1\r\n"
    two = b"X-API-Key: two\r\nX-Forwarded-For: 192.0.2.2\r\n"
    server = start_server(gate)
    bodies = []
    with connected(server.port) as client:
        for fields in (one, one, two, b"", one, one):
            client.send(_GET % fields)
            bodies.append(client.response().body)
    first, second = b"one from 192.0.2.1", b"two from 192.0.2.2"
    assert bodies == [first, first, second, b"anonymous from 127.0.0.1", first, first]
    assert len(readings) == 4, "each set of fields is read once"
