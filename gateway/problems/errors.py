"""HTTP errors that are raised before any feature runs: framing, method, size, media type, timeout."""

from typing import Self

from tenants.errors import ErrorKind, TenantryError


class MalformedRequest(TenantryError):
    """Invalid framing, invalid JSON, or a control byte where none is allowed (RFC 9112)."""

    kind = ErrorKind.MALFORMED
    code = "malformed_request"
    title = "Malformed request"
    message = "The request is not valid HTTP or its body is not valid JSON. Correct the request before you retry."


class MethodNotAllowed(TenantryError):
    """RFC 9110 section 15.5.6: the response lists the allowed methods in Allow."""

    kind = ErrorKind.MALFORMED
    code = "method_not_allowed"
    title = "Method not allowed"
    message = "Method not allowed. See the Allow header."

    def __init__(self, allow: tuple[str, ...] = ()) -> None:
        self.allow = allow
        super().__init__()


class RequestTimeout(TenantryError):
    kind = ErrorKind.MALFORMED
    code = "request_timeout"
    title = "Request timeout"
    message = "The request was not received in time. Send it again on a new connection."


class PayloadTooLarge(TenantryError):
    kind = ErrorKind.TOO_LARGE
    code = "payload_too_large"
    title = "Payload too large"
    message = "The request body exceeds the size limit. Send a smaller body."

    @classmethod
    def of_route(cls, limit: int) -> Self:
        """For a body that is longer than the ``limit`` bytes of its route."""
        return cls(f"The body exceeds {limit:,} bytes, the most that this route accepts. Send a smaller body.")


class UriTooLong(TenantryError):
    kind = ErrorKind.TOO_LARGE
    code = "uri_too_long"
    title = "URI too long"
    message = "The request target exceeds the length limit. Shorten the path or the query."


class HeadersTooLarge(TenantryError):
    """RFC 6585 section 5."""

    kind = ErrorKind.TOO_LARGE
    code = "headers_too_large"
    title = "Header fields too large"
    message = "The header fields exceed the limit on their number or size. Send fewer or shorter fields."


class UnsupportedMediaType(TenantryError):
    kind = ErrorKind.MALFORMED
    code = "unsupported_media_type"
    title = "Unsupported media type"
    message = "Send the body as application/json."


class UnsupportedContentCoding(UnsupportedMediaType):
    """RFC 9110 section 15.5.16: a compressed body, whose size is unknown before it is expanded."""

    message = "Send the body without Content-Encoding: no content coding is supported."


class UpgradeRequired(TenantryError):
    """RFC 6455 section 4.2.2: a version of WebSocket that is not 13, the only one there is."""

    kind = ErrorKind.MALFORMED
    code = "upgrade_required"
    title = "Upgrade required"
    message = "Send Sec-WebSocket-Version: 13. No other version of WebSocket is supported."


class Internal(TenantryError):
    """An unexpected failure. The response carries only the request id; the log carries the traceback."""

    kind = ErrorKind.INTERNAL
    code = "internal"
    title = "Internal error"
    message = "Internal error. Report it with the request id if it persists."
