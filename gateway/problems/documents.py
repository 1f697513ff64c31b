"""Every error becomes a problem document here, and nowhere else (RFC 9457). The only place that knows status codes.

The caller's input is never echoed and nothing of the inside is shown. A document has the members ``type``, ``title``,
``status``, ``detail``, ``code``, ``request_id``, and for 422 ``errors``: ``[{"pointer", "code", "message"}]``.
"""

from collections.abc import Iterator

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.problems.errors import Internal, MalformedRequest, MethodNotAllowed, PayloadTooLarge, UnsupportedMediaType
from gateway.problems.validation import validation_failed
from gateway.request.context import RequestContext
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
# What HTTP tells apart within a kind.
_STATUS_OF_CODE: dict[str, int] = {
    "method_not_allowed": 405,
    "request_timeout": 408,
    "uri_too_long": 414,
    "unsupported_media_type": 415,
    "headers_too_large": 431,
}
_METHOD_NOT_ALLOWED = 405
_FIRST_FAULT_OF_OURS = 500
# What the framework raises by status alone; any other 4xx of it is a malformed request.
_OF_FRAMEWORK: dict[int, type[TenantryError]] = {
    404: NotFound,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: ValidationFailed,
}
_WAIT = frozenset({ErrorKind.THROTTLED, ErrorKind.UNAVAILABLE})  # never without Retry-After
_MOST_FIELD_ERRORS = 50  # a body of a megabyte may be wrong in 100,000 places; the answer stays small

_log = structlog.get_logger(__name__)


def status_of(error: TenantryError | type[TenantryError]) -> int:
    """The HTTP status of an error or of a class of errors."""
    return _STATUS_OF_CODE.get(error.code) or _STATUS_OF_KIND[error.kind]


def catalogue() -> dict[str, type[TenantryError]]:
    """Every code that is declared in the process, sorted, with the class that declares it."""
    found: dict[str, type[TenantryError]] = {}
    for each in _declared(TenantryError):
        found.setdefault(each.code, each)  # a base comes before what refines it
    return dict(sorted(found.items()))


def _declared(base: type[TenantryError]) -> Iterator[type[TenantryError]]:
    for each in base.__subclasses__():
        if hasattr(each, "code"):
            yield each
        yield from _declared(each)


class Problems:
    """Builds problem documents for one deployment: ``type`` is a page under its public URL."""

    def __init__(self, public_url: str) -> None:
        self._base = f"{public_url.rstrip('/')}/problems/"

    def response(self, error: TenantryError, request_id: str) -> Response:
        """The whole answer: status, headers and body. Nothing in it depends on what the caller sent."""
        status = status_of(error)
        document: dict[str, object] = {
            "type": self._base + error.code,
            "title": error.title,
            "status": status,
            "detail": error.message,
            "code": error.code,
            "request_id": request_id,
        }
        if isinstance(error, ValidationFailed):
            document["errors"] = [_shown(each) for each in error.errors[:_MOST_FIELD_ERRORS]]
        return Response(orjson.dumps(document), status, _headers(error), MEDIA_TYPE)


def as_tenantry_error(error: Exception) -> TenantryError:
    """What any exception is to a caller. An unknown one is a fault of ours, and says no more than that."""
    if isinstance(error, TenantryError):
        return error
    if isinstance(error, RequestValidationError):
        return validation_failed(error.errors())
    if isinstance(error, HTTPException):
        return _from_http(error)
    return Internal()


def _from_http(error: HTTPException) -> TenantryError:
    # Raised by FastAPI and Starlette themselves. Their wording is dropped: it may hold what the caller sent.
    if isinstance(error.__cause__, TenantryError):  # FastAPI turns whatever body reading raises into a 400
        return error.__cause__
    if error.status_code == _METHOD_NOT_ALLOWED:
        return MethodNotAllowed()
    if error.status_code >= _FIRST_FAULT_OF_OURS:
        return Internal(detail=f"HTTPException {error.status_code}")
    return _OF_FRAMEWORK.get(error.status_code, MalformedRequest)()


def note(context: RequestContext, error: TenantryError) -> None:
    """Put code and detail on the request's own log line; a fault of ours also gets a line with its traceback."""
    context.log["code"] = error.code
    if error.detail:
        context.log["detail"] = error.detail
    if error.kind is ErrorKind.INTERNAL and error.__traceback__ is not None:
        _log.error("fault", exc_info=error)


def _shown(error: FieldError) -> dict[str, str]:
    return {"pointer": error.pointer, "code": error.code, "message": error.message}


def _headers(error: TenantryError) -> dict[str, str]:
    headers = {"cache-control": "no-store"}
    if error.retry_after is not None or error.kind in _WAIT:
        headers["retry-after"] = str(max(1, int(error.retry_after or 1)))
    if error.kind is ErrorKind.UNAUTHENTICATED:
        headers["www-authenticate"] = _challenge(error.code)
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.allow)
    return headers


def _challenge(code: str) -> str:
    # RFC 6750 section 3.1: without a credential there is no error to name.
    return 'Bearer realm="tenantry"' + ("" if code == "credential_missing" else ', error="invalid_token"')
