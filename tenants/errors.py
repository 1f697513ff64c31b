"""What can go wrong, as kinds. Each feature declares its own errors beside what raises them.

An error carries a kind, a stable code, a message for the caller and a detail for the log. Status codes are the
gateway's business (``gateway/problems/documents.py``); nothing below it knows them.
"""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class ErrorKind(Enum):
    """Why a request was not answered, in the words that ``gateway/problems/documents.py`` turns into a status."""

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


class TenantryError(Exception):
    """Base of every error that a caller may see. Subclasses set ``kind``, ``code``, ``title`` and ``message``.

    ``message`` is a constant sentence for the caller: it never holds what the caller sent, a secret, or a fact about
    another tenant. ``detail`` goes to the log only.
    """

    kind: ClassVar[ErrorKind]
    code: ClassVar[str]
    title: ClassVar[str]
    message: str = ""
    retry_after: int | None = None  # seconds

    def __init__(self, message: str | None = None, *, detail: str = "", retry_after: int | None = None) -> None:
        if message is not None:
            self.message = message
        if retry_after is not None:
            self.retry_after = retry_after
        self.detail = detail
        super().__init__(detail or self.message)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with the input: an RFC 6901 pointer, a stable code and a message that does not echo the input."""

    pointer: str
    code: str
    message: str


class NotFound(TenantryError):
    """Unknown, or another tenant's: the two are never told apart."""

    kind = ErrorKind.NOT_FOUND
    code = "not_found"
    title = "Not found"
    message = "There is nothing here, or nothing that you may know of."


class Conflict(TenantryError):
    kind = ErrorKind.CONFLICT
    code = "conflict"
    title = "Conflict"
    message = "The request conflicts with what is already there."


class PreconditionFailed(TenantryError):
    kind = ErrorKind.PRECONDITION_FAILED
    code = "precondition_failed"
    title = "Precondition failed"
    message = "The object has changed since the version that If-Match names."


def check_version(version: int, expected: tuple[int, ...] | None) -> None:
    """Raise PreconditionFailed unless the object is at one of the versions that the caller expects; None is any."""
    if expected is not None and version not in expected:
        raise PreconditionFailed


class ValidationFailed(TenantryError):
    """The input was understood and refused; ``errors`` says where and why."""

    kind = ErrorKind.INVALID
    code = "validation_failed"
    title = "Validation failed"
    message = "Some of the input is not acceptable."

    def __init__(self, errors: tuple[FieldError, ...] = (), *, message: str | None = None, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.errors = errors

    @classmethod
    def at(cls, pointer: str, code: str, message: str) -> "ValidationFailed":
        """The common case of one thing wrong."""
        return cls((FieldError(pointer, code, message),))


class Forbidden(TenantryError):
    kind = ErrorKind.FORBIDDEN
    code = "forbidden"
    title = "Forbidden"
    message = "The credential is valid, but its roles do not allow this."


class Unavailable(TenantryError):
    """Something that the answer needs is down. Never used for a credential that was understood and refused."""

    kind = ErrorKind.UNAVAILABLE
    code = "unavailable"
    title = "Unavailable"
    message = "A part that the answer needs does not answer. Try again shortly."
    retry_after = 1
