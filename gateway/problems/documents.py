"""Maps every error to a status code and a problem document (RFC 9457), or an error of SCIM or OAuth. No other does.

A document never contains caller input or internal details. Its members are ``type``, ``title``, ``status``,
``detail``, ``code``, ``request_id``, and for 422, and a 409 that concerns fields, ``errors``: ``[{"pointer", "code",
"message"}]``.
"""

from collections.abc import Iterator

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.problems.errors import (
    Internal,
    MalformedRequest,
    MethodNotAllowed,
    PayloadTooLarge,
    UnsupportedContentCoding,
    UnsupportedMediaType,
    UpgradeRequired,
)
from gateway.problems.oauth import CHALLENGE, OAUTH_MEDIA_TYPE, oauth_error, oauth_keyword
from gateway.problems.scim import SCIM_MEDIA_TYPE, scim_error
from gateway.problems.validation import validation_failed
from gateway.request.context import RequestContext
from gateway.request.route import ErrorFormat
from tenants.errors import ErrorKind, FieldError, NotFound, TenantryError, ValidationFailed

MEDIA_TYPE = "application/problem+json"

_STATUS_OF_KIND: dict[ErrorKind, int] = {
    ErrorKind.MALFORMED: 400,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.CONFLICT: 409,
    ErrorKind.PRECONDITION_FAILED: 412,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.INVALID: 422,
    ErrorKind.THROTTLED: 429,
    ErrorKind.INTERNAL: 500,
    ErrorKind.UPSTREAM: 502,
    ErrorKind.UNAVAILABLE: 503,
    ErrorKind.UPSTREAM_TIMEOUT: 504,
}
# Codes whose status differs from that of their kind.
_STATUS_OF_CODE: dict[str, int] = {
    "method_not_allowed": 405,
    "request_timeout": 408,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "upgrade_required": 426,
    "headers_too_large": 431,
    "method_not_implemented": 501,
}
_BAD_REQUEST, _UNAUTHORIZED = 400, 401
_METHOD_NOT_ALLOWED = 405
_FIRST_SERVER_ERROR = 500
# Framework exceptions carry only a status. Any other 4xx is a malformed request.
_FRAMEWORK_ERRORS: dict[int, type[TenantryError]] = {
    404: NotFound,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: ValidationFailed,
}
_RETRYABLE = frozenset({ErrorKind.THROTTLED, ErrorKind.UNAVAILABLE})  # always with Retry-After

_log = structlog.get_logger(__name__)


def status_of(error: TenantryError | type[TenantryError], error_format: ErrorFormat = ErrorFormat.PROBLEM) -> int:
    """The HTTP status code of an error or an error class."""
    status = _STATUS_OF_CODE.get(error.code) or _STATUS_OF_KIND[error.kind]
    if error_format is ErrorFormat.OAUTH and status == _UNAUTHORIZED and oauth_keyword(error) != "invalid_client":
        return _BAD_REQUEST  # RFC 6749 section 5.2: 401 is for the client's authentication alone
    # RFC 7644 section 3.12 and RFC 6749 section 5.2 have no 422.
    return _BAD_REQUEST if error_format is not ErrorFormat.PROBLEM and error.kind is ErrorKind.INVALID else status


def catalogue() -> dict[str, type[TenantryError]]:
    """Every declared error code, sorted, with the class that declares it."""
    found: dict[str, type[TenantryError]] = {}
    for each in _declared(TenantryError):
        found.setdefault(each.code, each)  # a base class comes before its subclasses
    return dict(sorted(found.items()))


def _declared(base: type[TenantryError]) -> Iterator[type[TenantryError]]:
    for each in base.__subclasses__():
        if hasattr(each, "code"):
            yield each
        yield from _declared(each)


class Problems:
    """Builds problem documents. ``type`` is a page under the deployment's public URL."""

    def __init__(self, public_url: str) -> None:
        self._base = f"{public_url.rstrip('/')}/problems/"

    def response(
        self, error: TenantryError, request_id: str, error_format: ErrorFormat = ErrorFormat.PROBLEM
    ) -> Response:
        """The complete response. Nothing in it depends on caller input."""
        status = status_of(error, error_format)
        if error_format is ErrorFormat.SCIM:
            return Response(orjson.dumps(scim_error(error, status)), status, _headers(error), SCIM_MEDIA_TYPE)
        if error_format is ErrorFormat.OAUTH:
            body = orjson.dumps(oauth_error(error, request_id, self._base + error.code))
            return Response(body, status, _oauth_headers(error, status), OAUTH_MEDIA_TYPE)
        document: dict[str, object] = {
            "type": self._base + error.code,
            "title": error.title,
            "status": status,
            "detail": error.message,
            "code": error.code,
            "request_id": request_id,
        }
        if error.errors or isinstance(error, ValidationFailed):
            document["errors"] = [_field_error(each) for each in error.errors]
        return Response(orjson.dumps(document), status, _headers(error), MEDIA_TYPE)


def as_tenantry_error(error: Exception) -> TenantryError:
    """The error that the caller sees for any exception. An unexpected one is Internal, without details."""
    if isinstance(error, TenantryError):
        return error
    if isinstance(error, RequestValidationError):
        return validation_failed(error.errors())
    if isinstance(error, HTTPException):
        return _from_http(error)
    return Internal()


def _from_http(error: HTTPException) -> TenantryError:
    # Raised by FastAPI and Starlette. Their text is dropped: it may contain caller input.
    if isinstance(error.__cause__, TenantryError):  # FastAPI wraps errors from reading the body in a 400
        return error.__cause__
    if error.status_code == _METHOD_NOT_ALLOWED:
        return MethodNotAllowed()
    if error.status_code >= _FIRST_SERVER_ERROR:
        return Internal(detail=f"HTTPException {error.status_code}")
    return _FRAMEWORK_ERRORS.get(error.status_code, MalformedRequest)()


def note(context: RequestContext, error: TenantryError) -> None:
    """Add code and detail to the request's log line. An internal error also logs its traceback."""
    context.log["code"] = error.code
    if error.detail:
        context.log["detail"] = error.detail
    if error.kind is ErrorKind.INTERNAL and error.__traceback__ is not None:
        _log.error("internal_error", exc_info=error)


def _field_error(error: FieldError) -> dict[str, str]:
    return {"pointer": error.pointer, "code": error.code, "message": error.message}


def _headers(error: TenantryError) -> dict[str, str]:
    headers = {"cache-control": "no-store"}
    if error.retry_after is not None or error.kind in _RETRYABLE:
        headers["retry-after"] = str(max(1, int(error.retry_after or 1)))
    if error.kind is ErrorKind.UNAUTHENTICATED:
        headers["www-authenticate"] = _challenge(error.code)
    if isinstance(error, UnsupportedContentCoding):
        headers["accept-encoding"] = "identity"  # RFC 9110 sections 12.5.3 and 15.5.16: no coding at all
    if isinstance(error, UpgradeRequired):
        headers |= {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13"}
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allow)
    return headers


def _oauth_headers(error: TenantryError, status: int) -> dict[str, str]:
    """RFC 6749 section 5.2: the challenge names the scheme of client authentication."""
    fields = {**_headers(error), "pragma": "no-cache"}
    fields.pop("www-authenticate", None)
    return fields | ({"www-authenticate": CHALLENGE} if status == _UNAUTHORIZED else {})


def _challenge(code: str) -> str:
    # RFC 6750 section 3.1: no error code when the request has no credential.
    return 'Bearer realm="tenantry"' + ("" if code == "credential_missing" else ', error="invalid_token"')
