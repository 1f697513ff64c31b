"""The error responses of an operation: those that its terms imply, and those that its endpoint declares."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from billing.plans.errors import EntitlementRequired
from gateway.identity.stage import IpNotAllowed
from gateway.openapi.components import OAUTH_ERROR_NAME, PROBLEM_NAME, SCIM_ERROR_NAME
from gateway.openapi.headers import header_references
from gateway.problems.documents import MEDIA_TYPE, status_of
from gateway.problems.errors import (
    HeadersTooLarge,
    Internal,
    MalformedRequest,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
    UriTooLong,
)
from gateway.problems.oauth import OAUTH_MEDIA_TYPE, oauth_keyword
from gateway.problems.scim import SCIM_MEDIA_TYPE
from gateway.request.route import Audience, Budget, ErrorFormat, Terms
from gateway.throttle.errors import ConcurrencyLimited, CostBeyondLimits
from tenants.credentials import CredentialExpired, CredentialInvalid, CredentialMissing, CredentialRevoked
from tenants.directory.errors import TenantSuspended
from tenants.errors import (
    ErrorKind,
    Forbidden,
    NotFound,
    PreconditionFailed,
    RateLimited,
    TenantryError,
    Unavailable,
    ValidationFailed,
)

Errors = tuple[type[TenantryError], ...]

_CREDENTIALS: Errors = (CredentialMissing, CredentialInvalid, CredentialExpired, CredentialRevoked)
_BODY: Errors = (MalformedRequest, PayloadTooLarge, UnsupportedMediaType, ValidationFailed)
_OF_AUDIENCE: dict[Audience, Errors] = {
    Audience.EVERYBODY: (),
    Audience.TENANTS: (*_CREDENTIALS, Forbidden, IpNotAllowed, TenantSuspended, RateLimited),
    Audience.OPERATORS: (*_CREDENTIALS, Forbidden, RateLimited),
}
# Of any request, whatever its operation: refused before its route is known, or failed.
ANYWHERE: Errors = (MalformedRequest, RequestTimeout, UriTooLong, HeadersTooLarge, Internal)
_CONDITIONAL = frozenset({"patch", "put", "delete"})
_CONTENTS: dict[ErrorFormat, dict[str, Any]] = {
    ErrorFormat.PROBLEM: {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{PROBLEM_NAME}"}}},
    ErrorFormat.SCIM: {SCIM_MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{SCIM_ERROR_NAME}"}}},
    ErrorFormat.OAUTH: {OAUTH_MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{OAUTH_ERROR_NAME}"}}},
}
_HEADERS: dict[ErrorKind, tuple[str, ...]] = {
    ErrorKind.UNAUTHENTICATED: ("WWW-Authenticate",),
    ErrorKind.THROTTLED: ("Retry-After",),
    ErrorKind.UNAVAILABLE: ("Retry-After",),
}


def error_responses(terms: Terms, method: str, *, in_path: bool, body: bool) -> dict[str, Any]:
    """Response Objects by status, each with its codes. ``in_path``: an object is looked up by a part of the path."""
    declared = {error.code for error in terms.errors}  # with a better message than the general one
    implied = [each for each in _implied(terms, method, in_path=in_path, body=body) if each.code not in declared]
    errors: defaultdict[int, list[type[TenantryError]]] = defaultdict(list)
    for error in dict.fromkeys((*implied, *terms.errors)):
        errors[status_of(error, terms.error_format)].append(error)
    content = _CONTENTS[terms.error_format]
    listed = {str(status): _response(errors[status], content, terms.error_format) for status in sorted(errors)}
    return listed | {"default": _default(content)}


def _implied(terms: Terms, method: str, *, in_path: bool, body: bool) -> Iterator[type[TenantryError]]:
    yield from _OF_AUDIENCE[Audience.OPERATORS if terms.guard.operator_roles else terms.guard.audience]
    if terms.per_source is not None:
        yield RateLimited
    if terms.guard.audience is Audience.TENANTS and terms.budget is Budget.PLAN:
        yield ConcurrencyLimited
    if in_path:
        yield NotFound
    if body:
        yield from _BODY
    if terms.query is not None:
        yield ValidationFailed  # unknown parameters are refused
    if terms.tagged and method in _CONDITIONAL:
        yield PreconditionFailed
    if terms.guard.audience is Audience.TENANTS and terms.cost > 1:
        yield CostBeyondLimits
    if terms.feature is not None:
        yield EntitlementRequired
    yield Unavailable


def _response(
    errors: Sequence[type[TenantryError]], content: dict[str, Any], error_format: ErrorFormat
) -> dict[str, Any]:
    listed = "\n".join(f"- {_named(error, error_format)}: {error.message}" for error in errors)
    headers = dict.fromkeys(name for error in errors for name in _headers_of(error, error_format))
    return _described(listed, content, headers)


def _named(error: type[TenantryError], error_format: ErrorFormat) -> str:
    """Its code; after the ``error`` of OAuth, where that is what clients read."""
    keyword = f"`{oauth_keyword(error)}`, code " if error_format is ErrorFormat.OAUTH else ""
    return f"{keyword}`{error.code}`"


def _headers_of(error: type[TenantryError], error_format: ErrorFormat) -> tuple[str, ...]:
    is_challenge = error.kind is ErrorKind.UNAUTHENTICATED
    return (
        ()
        if is_challenge and status_of(error, error_format) != HTTPStatus.UNAUTHORIZED
        else _HEADERS.get(error.kind, ())
    )


def _default(content: dict[str, Any]) -> dict[str, Any]:
    listed = ", ".join(f"`{error.code}` ({status_of(error)})" for error in ANYWHERE)
    return _described(f"Any other error: {listed}.", content)


def _described(description: str, content: dict[str, Any], headers: Iterable[str] = ()) -> dict[str, Any]:
    return {
        "description": description,
        "headers": header_references(("X-Request-Id", *headers)),
        "content": content,
    }
