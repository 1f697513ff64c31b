"""Errors of PostgreSQL as errors of the caller: no value in a request may cause an internal error.

Models and filters check values first. This covers what only the database can check (uniqueness, references), and what
those checks miss. Source: PostgreSQL manual, appendix A, "PostgreSQL Error Codes".
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError

from tenants.errors import Conflict, TenantryError, Unavailable, ValidationFailed, not_unique
from tenants.resources.collection import Collection


class StillReferred(Conflict):
    """Other objects refer to the object to delete."""

    message = "Other objects still refer to this one."


class NotUnique(Conflict):
    """A unique constraint of the resource."""

    message = "Another object already has a value that must be unique."

    def __init__(self, fields: tuple[str, ...], *, detail: str = "") -> None:
        super().__init__(detail=detail)
        self.errors = not_unique(*fields)


@contextmanager
def refusals(collection: Collection, *, deleting: bool = False) -> Iterator[None]:
    """Turn PostgreSQL's errors inside the block into Conflict, ValidationFailed or Unavailable."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        known = _refusal(error.orig if isinstance(error, DBAPIError) else error, collection, deleting=deleting)
        if known is None:
            raise
        raise known from error


def _refusal(error: BaseException | None, collection: Collection, *, deleting: bool) -> TenantryError | None:
    if not isinstance(error, psycopg.Error):
        return None
    if deleting and isinstance(error, pg.ForeignKeyViolation | pg.RestrictViolation):
        return StillReferred(detail=_detail(error))
    for kinds, refuse in _REFUSALS:
        if isinstance(error, kinds):
            return refuse(error, collection)
    return None


def _unknown_reference(error: psycopg.Error, collection: Collection) -> TenantryError:
    names = {
        key.constraint.name: column.name
        for column in collection.table.columns
        for key in column.foreign_keys
        if key.constraint is not None
    }
    name = names.get(error.diag.constraint_name)
    return ValidationFailed.at(_pointer(name), "unknown_reference", "There is no such object.")


def _missing(error: psycopg.Error, _collection: Collection) -> TenantryError:
    return ValidationFailed.at(_pointer(error.diag.column_name), "missing", "Required.")


def _check_failed(error: psycopg.Error, collection: Collection) -> TenantryError:
    """A check constraint that is named after a column points at that column."""
    name = (error.diag.constraint_name or "").removeprefix(f"ck_{collection.table.name}_")
    pointer = _pointer(name if name in collection.resource.writable else None)
    return ValidationFailed.at(pointer, "not_allowed", "Invalid value.")


def _unfit(error: psycopg.Error, _collection: Collection) -> TenantryError:
    message = "One of the values does not fit its field."
    return ValidationFailed((), message=message, detail=_detail(error))


def _not_unique(error: psycopg.Error, collection: Collection) -> TenantryError:
    return NotUnique(collection.unique.get(error.diag.constraint_name or "", ()), detail=_detail(error))


def _not_now(error: psycopg.Error, _collection: Collection) -> TenantryError:
    # A deadlock whose victim this is, or a tenant that is not migrated yet: 503 for this tenant alone.
    return Unavailable(detail=f"{type(error).__name__}: {error.diag.message_primary}")


def _detail(error: psycopg.Error) -> str:
    """For the log: the constraint, never the values, which the server's own message contains."""
    return f"{type(error).__name__} {error.diag.constraint_name or ''}".strip()


def _pointer(name: str | None) -> str:
    return f"/{name}" if name else ""


_Refuse = Callable[[psycopg.Error, Collection], TenantryError]
_REFUSALS: tuple[tuple[tuple[type[psycopg.Error], ...], _Refuse], ...] = (
    ((pg.UniqueViolation, pg.ExclusionViolation), _not_unique),
    ((pg.ForeignKeyViolation,), _unknown_reference),
    ((pg.NotNullViolation,), _missing),
    ((pg.CheckViolation,), _check_failed),
    ((pg.DeadlockDetected, pg.SerializationFailure, pg.UndefinedTable, pg.UndefinedColumn), _not_now),
    # Class 22, and an index entry of more than 2,704 bytes (class 54).
    ((psycopg.DataError, pg.ProgramLimitExceeded), _unfit),
)
