"""Errors that only a protocol knows: what HTTP refuses before any feature is asked."""

from tenants.errors import ErrorKind, TenantryError


class MalformedRequest(TenantryError):
    """The bytes are not a request that we read: framing, JSON, or a control byte where none belongs (RFC 9112)."""

    kind = ErrorKind.MALFORMED
    code = "malformed_request"
    title = "Malformed request"
    message = "The request cannot be read."


class MethodNotAllowed(TenantryError):
    """RFC 9110 section 15.5.6: the answer names what the path does allow."""

    kind = ErrorKind.MALFORMED
    code = "method_not_allowed"
    title = "Method not allowed"
    message = "This path does not answer to this method; Allow names those that it does."

    def __init__(self, allow: tuple[str, ...] = ()) -> None:
        self.allow = allow
        super().__init__()


class RequestTimeout(TenantryError):
    kind = ErrorKind.MALFORMED
    code = "request_timeout"
    title = "Request timeout"
    message = "The request did not arrive in time."


class PayloadTooLarge(TenantryError):
    kind = ErrorKind.TOO_LARGE
    code = "payload_too_large"
    title = "Payload too large"
    message = "The body is larger than this service takes."


class UriTooLong(TenantryError):
    kind = ErrorKind.TOO_LARGE
    code = "uri_too_long"
    title = "URI too long"
    message = "Path and query are longer than this service reads."


class HeadersTooLarge(TenantryError):
    """RFC 6585 section 5."""

    kind = ErrorKind.TOO_LARGE
    code = "headers_too_large"
    title = "Header fields too large"
    message = "There are more or longer header fields than this service reads."


class UnsupportedMediaType(TenantryError):
    kind = ErrorKind.MALFORMED
    code = "unsupported_media_type"
    title = "Unsupported media type"
    message = "Send the body as application/json."


class Internal(TenantryError):
    """A fault of ours. The caller is told nothing but the request id, under which the log has the rest."""

    kind = ErrorKind.INTERNAL
    code = "internal"
    title = "Internal error"
    message = "Something went wrong on our side. Quote the request id when you report it."
