"""Tells outages of PostgreSQL from programming errors, so that an outage is a 503 and never a 401 or a 500."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import errors as pg
from sqlalchemy import exc

from tenants.errors import Unavailable

# Source: PostgreSQL manual, appendix A. Class 08 is the connection, 53 resources, 57P0x a server going down,
# 57014 a statement that ran into statement_timeout, 55P03 into lock_timeout, 25P03 an idle transaction that was ended.
_OUTAGE_CLASSES = ("08", "53", "57P0")
_OUTAGE_STATES = frozenset({"57014", "55P03", "25P03"})


def is_outage(error: BaseException) -> bool:
    """True when the database is down, cut off, overloaded or too slow."""
    if isinstance(error, exc.TimeoutError | TimeoutError | OSError):
        return True
    if isinstance(error, exc.DBAPIError):
        return error.connection_invalidated or (error.orig is not None and is_outage(error.orig))
    if isinstance(error, pg.Error):
        state = error.sqlstate or ""
        return state.startswith(_OUTAGE_CLASSES) or state in _OUTAGE_STATES or (not state and _lost(error))
    return False


def _lost(error: pg.Error) -> bool:
    # libpq reports a refused or broken connection, and a connection time-out, without an SQLSTATE.
    return isinstance(error, pg.OperationalError | pg.InterfaceError)


DATABASE_ERRORS = (exc.SQLAlchemyError, pg.Error, OSError, TimeoutError)


def raise_outage(error: Exception) -> None:
    """Raises Unavailable when the error is an outage; else returns, for the caller to raise the error again."""
    if is_outage(error):
        raise Unavailable(detail=f"PostgreSQL: {type(error).__name__}: {error}") from error


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """Turn an outage inside the block into Unavailable; let every other error through."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise_outage(error)
        raise
