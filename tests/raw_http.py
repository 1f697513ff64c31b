"""A client that sends arbitrary bytes and parses the responses."""

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import orjson

_TIMEOUT = 20.0  # seconds, for a loaded machine


@dataclass(slots=True)
class RawResponse:
    """A response as received."""

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
    """One connection. A response that does not arrive within the timeout fails the test."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def send(self, data: bytes, piece: int | None = None) -> None:
        """Send all at once, or ``piece`` bytes at a time. A server that has rejected the request may have closed."""
        try:
            for begin in range(0, len(data), piece or len(data)):
                self.socket.sendall(data[begin : begin + (piece or len(data))])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def response(self, method: str = "GET") -> RawResponse:
        """The next response, which may be an interim one (100)."""
        head = self.read_until(b"\r\n\r\n")
        lines = head[:-4].decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1"
        headers = dict(line.split(": ", 1) for line in lines[1:])
        response = RawResponse(int(status), headers)
        if method != "HEAD" and response.status not in {100, 101, 204, 304}:
            response.body = self.read_body(headers)
        return response

    def closed(self) -> bool:
        """Whether the server closes the connection without sending anything more."""
        try:
            return not self._received and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def read_body(self, headers: dict[str, str]) -> bytes:
        """The body that these headers frame."""
        if "content-length" in headers:
            return self.read_exactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return self._read_to_end()
        body = b""
        while size := int(self.read_until(b"\r\n"), 16):
            body += self.read_exactly(size)
            assert self.read_exactly(2) == b"\r\n"
        assert self.read_exactly(2) == b"\r\n"
        return body

    def read_until(self, mark: bytes) -> bytes:
        """Bytes up to and with the mark."""
        while mark not in self._received:
            self._receive()
        return self.read_exactly(self._received.index(mark) + len(mark))

    def read_exactly(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        while len(self._received) < count:
            self._receive()
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def rest(self) -> bytes:
        """Everything up to the end of the connection, even if that is a reset."""
        with contextlib.suppress(ConnectionResetError):
            while chunk := self.socket.recv(65_536):
                self._received += chunk
        return self.read_exactly(len(self._received))

    def _read_to_end(self) -> bytes:
        while chunk := self.socket.recv(65_536):
            self._received += chunk
        return self.read_exactly(len(self._received))

    def _receive(self) -> None:
        chunk = self.socket.recv(65_536)
        assert chunk, f"the server closed the connection after {self._received!r}"
        self._received += chunk


@contextmanager
def connected(port: int) -> Iterator[RawClient]:
    """A connection that is closed at the end of the block."""
    client = RawClient(port)
    try:
        yield client
    finally:
        client.socket.close()
