"""A client that sends what it is told to, byte for byte, and says what came back."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson

_PATIENCE = 20.0  # seconds, for a loaded machine


@dataclass(slots=True)
class RawAnswer:
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def problem(self) -> dict[str, object]:
        """The body as a problem document."""
        assert self.headers["content-type"] == "application/problem+json"
        document: dict[str, object] = orjson.loads(self.body)
        return document


class RawClient:
    """One connection. What is not there within some seconds fails the test."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def send(self, data: bytes, piece: int | None = None) -> None:
        """All at once, or ``piece`` bytes at a time. A server that has refused already may have stopped listening."""
        try:
            for begin in range(0, len(data), piece or len(data)):
                self.socket.sendall(data[begin : begin + (piece or len(data))])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def answer(self, method: str = "GET") -> RawAnswer:
        """The next answer, without those of status 100 that come before it."""
        head = self._until(b"\r\n\r\n")
        lines = head[:-4].decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        headers = dict(line.split(": ", 1) for line in lines[1:])
        answer = RawAnswer(int(status), headers)
        if method != "HEAD" and answer.status not in {100, 204, 304}:
            answer.body = self._body(headers)
        return answer

    def closed(self) -> bool:
        """Whether the server closes the connection, and sends nothing more before it does."""
        try:
            return not self._received and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return self._rest()
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            assert self._exactly(2) == b"\r\n"
        assert self._exactly(2) == b"\r\n"
        return body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._more()
        return self._exactly(self._received.index(mark) + len(mark))

    def _exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            self._more()
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def _rest(self) -> bytes:
        while chunk := self.socket.recv(65_536):
            self._received += chunk
        return self._exactly(len(self._received))

    def _more(self) -> None:
        chunk = self.socket.recv(65_536)
        assert chunk, f"the server closed the connection after {self._received!r}"
        self._received += chunk


@contextmanager
def connected(port: int) -> Iterator[RawClient]:
    """A connection that is closed when the test is done with it."""
    client = RawClient(port)
    try:
        yield client
    finally:
        client.socket.close()
