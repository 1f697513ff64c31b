"""How an exchange with an upstream can fail. Which answer the caller gets is decided by the forwarder.

Texts are constants: an upstream's bytes reach neither a log nor a caller through an error.
"""


class UpstreamFailed(Exception):
    """There is no complete response."""


class ConnectFailed(UpstreamFailed):
    """There is no connection, so nothing reached the upstream. ``reason`` is one of the constants below."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


REFUSED = "refused"  # the host, or the socket's file
UNREACHABLE = "unreachable"
UNKNOWN_NAME = "unknown_name"
ADDRESS_NOT_ADMITTED = "address_not_admitted"  # a private one, where only public ones are (PX1)
CERTIFICATE = "certificate"  # the target's does not verify
TLS = "tls"
TLS_FILES = "tls_files"  # an authority, a certificate or a key cannot be read
POOL_CLOSED = "pool_closed"


class ConnectTimedOut(UpstreamFailed):
    """Name, TCP and TLS took longer than ``connect``. Nothing reached the upstream."""


class TooManyConnections(UpstreamFailed):
    """The target has as many connections as it may have, and none was free in time. Nothing reached the upstream."""


class ConnectionLost(UpstreamFailed):
    """The connection ended before the response did.

    ``before_first_byte``: no byte of a response had come. ``stale``: in addition, the connection had been used before,
    and the upstream probably closed it while it was idle; it may have processed the request nevertheless, so only an
    idempotent one can be sent again. ``unsent``: the connection had ended before the request was written, so every
    request can be sent again.
    """

    def __init__(self, *, before_first_byte: bool, stale: bool, unsent: bool = False) -> None:
        super().__init__("the connection ended before the response")
        self.before_first_byte = before_first_byte
        self.stale = stale
        self.unsent = unsent


class BadResponse(UpstreamFailed):
    """The upstream's bytes are not a response that has one meaning. ``rule`` names what they break."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class ResponseTimedOut(UpstreamFailed):
    """``phase``: ``send`` (it takes no bytes of the request), ``first_byte`` (no head), ``idle`` (no more body)."""

    def __init__(self, phase: str) -> None:
        super().__init__(phase)
        self.phase = phase
