"""The request line of a request that is described and not sent, read by the parser of the server."""

from gateway.http1.request_head import HeadReader, RequestHead
from gateway.problems.errors import MalformedRequest

_REST = b" HTTP/1.1\r\nHost: host\r\n\r\n"


class TargetReader:
    """Reads methods and targets. The one header line is the same for all of them, and parsed once."""

    def __init__(self) -> None:
        self._reader = HeadReader()

    def read(self, method: bytes, target: bytes) -> RequestHead:
        """Method, path and query. Raises MalformedRequest, UnreadableRequest, MethodNotImplemented and UriTooLong."""
        head = None
        try:
            head = self._reader.read(b"%b %b%b" % (method, target, _REST))
        finally:
            if head is None:
                self._reader = HeadReader()  # the other one waits for the rest of what it has refused
        if head is None:
            raise MalformedRequest(detail="a described request has no complete request line")
        return head
