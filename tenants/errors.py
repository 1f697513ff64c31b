"""Error kinds and the errors that several features share. Each feature declares its own errors beside their use.

An error carries a kind, a stable code, a message for the caller and a detail for the log. Only
``gateway/problems/documents.py`` maps errors to HTTP: no message here names a status code or a header field.
"""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

MOST_ERRORS = 20  # invalid values that one ValidationFailed names; a body can have thousands


class ErrorKind(Enum):
    """The category of an error; ``gateway/problems/documents.py`` maps each to a status code."""

    MALFORMED = "malformed"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    PRECONDITION_FAILED = "precondition_failed"
    TOO_LARGE = "too_large"
    INVALID = "invalid"
    THROTTLED = "throttled"
    INTERNAL = "internal"
    UPSTREAM = "upstream"
    UNAVAILABLE = "unavailable"
    UPSTREAM_TIMEOUT = "upstream_timeout"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid value: an RFC 6901 pointer, a stable code and a message that never echoes the input."""

    pointer: str
    code: str
    message: str


class TenantryError(Exception):
    """Base of every error that a caller may see. Subclasses set ``kind``, ``code``, ``title`` and ``message``.

    ``message`` is constant text for the caller: what is wrong and what to do. It never contains caller input, a secret
    or data of another tenant. ``errors`` are the fields that it concerns, if any. ``detail`` goes to the log only.
    """

    kind: ClassVar[ErrorKind]
    code: ClassVar[str]
    title: ClassVar[str]
    message: str = ""
    errors: tuple[FieldError, ...] = ()
    retry_after: int | None = None  # seconds

    def __init__(self, message: str | None = None, *, detail: str = "", retry_after: int | None = None) -> None:
        if message is not None:
            self.message = message
        if retry_after is not None:
            self.retry_after = retry_after
        self.detail = detail
        super().__init__(detail or self.message)


class NotFound(TenantryError):
    """The object does not exist or belongs to another tenant: the two are indistinguishable to the caller."""

    kind = ErrorKind.NOT_FOUND
    code = "not_found"
    title = "Not found"
    message = "Not found. Check the path and the id."


class Conflict(TenantryError):
    kind = ErrorKind.CONFLICT
    code = "conflict"
    title = "Conflict"
    message = "The request conflicts with the current state. Read it again before you retry."


def not_unique(*fields: str) -> tuple[FieldError, ...]:
    """``errors`` of a Conflict: these fields have a value, or together have values, that only one object can have."""
    message = "Already in use." if len(fields) == 1 else "Already in use together with the other fields listed."
    return tuple(FieldError(f"/{field}", "not_unique", message) for field in fields)


class PreconditionFailed(TenantryError):
    kind = ErrorKind.PRECONDITION_FAILED
    code = "precondition_failed"
    title = "Precondition failed"
    message = "The object has changed since the version that you named. Read it again before you retry."


def check_version(version: int, expected: tuple[int, ...] | None) -> None:
    """Raise PreconditionFailed unless the object is at one of the versions that the caller expects; None is any."""
    if expected is not None and version not in expected:
        raise PreconditionFailed


class ValidationFailed(TenantryError):
    """The input is well-formed and invalid; ``errors`` lists the invalid values, at most ``MOST_ERRORS``."""

    kind = ErrorKind.INVALID
    code = "validation_failed"
    title = "Validation failed"
    message = "The input is invalid. See the list of errors."

    def __init__(self, errors: tuple[FieldError, ...] = (), *, message: str | None = None, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.errors = errors[:MOST_ERRORS]

    @classmethod
    def at(cls, pointer: str, code: str, message: str) -> "ValidationFailed":
        """An error with a single invalid value."""
        return cls((FieldError(pointer, code, message),))


class SignatureInvalid(TenantryError):
    """Missing, malformed or forged. Only the log says which."""

    kind = ErrorKind.MALFORMED
    code = "signature_invalid"
    title = "Signature invalid"
    message = "The signature is missing or invalid. Sign the body as it is sent, with a key that is known here."


class Forbidden(TenantryError):
    kind = ErrorKind.FORBIDDEN
    code = "forbidden"
    title = "Forbidden"
    message = "The credential is valid, but it does not have the required permission."


class RateLimited(TenantryError):
    """A limit on requests or attempts is reached. ``retry_after`` is in whole seconds and sufficient (TH6)."""

    kind = ErrorKind.THROTTLED
    code = "rate_limited"
    title = "Rate limit exceeded"
    message = "Rate limit exceeded. Retry later."
    retry_after = 1


class Unavailable(TenantryError):
    """A dependency is down. Never raised for an invalid credential."""

    kind = ErrorKind.UNAVAILABLE
    code = "unavailable"
    title = "Unavailable"
    message = "A required service is unavailable. Retry later."
    retry_after = 1
