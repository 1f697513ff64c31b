"""One request and its answer: the context that the gate opens, with a ``send`` that knows how far the answer got."""

from collections.abc import Awaitable
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope, Send

from gateway.gate.request_id import RequestIds
from gateway.request.context import Closer, RequestContext
from gateway.request.fields import FIELDS, RequestFields
from gateway.request.source import SourceReader


@dataclass(frozen=True, slots=True)
class Common:
    """What all exchanges of a gate have in common."""

    ids: RequestIds
    source: SourceReader
    closers: tuple[Closer, ...]


class Exchange(RequestContext):
    """The only wrapper of ``send``. Closers are called once, before the last byte of the answer leaves."""

    __slots__ = ("_send", "ended", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send, common: Common) -> None:
        fields: RequestFields = scope.get(FIELDS) or RequestFields.of(scope["headers"])  # what the server knows of them
        source = fields.source
        if source is None:
            source = fields.source = common.source(scope)
        super().__init__(scope, fields, receive, common.ids.next(), source)
        self.closers = common.closers  # one tuple for all requests that add none
        self._send = send
        self.status = 0  # nothing was sent yet
        self.ended = False

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on, the first with the id and what the stages add. To be awaited, as the server's own is."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            request_id = (b"x-request-id", self.request_id.encode())
            message["headers"] = [*message["headers"], *self.response_headers, request_id]
        elif not (self.ended or message.get("more_body", False)):
            self.end(self.status)
        return self._send(message)

    def end(self, status: int = 0) -> None:
        """The request is over. Cut short, or cancelled, it was used all the same, and we failed."""
        self.ended = True
        for closer in self.closers:
            closer(self, status)
