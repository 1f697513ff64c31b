"""The errors that a command reports in one sentence, without a traceback."""

from collections.abc import Callable

import psycopg
from psycopg import errors as pg
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from gateway.cli.output import CommandFailed, ErrorReport
from gateway.development.servers import ProgramMissing, ServerFailed, SetUpFailed
from gateway.settings import PREFIX, Settings
from migrations.autogenerate import NothingChanged, SeveralHeads
from migrations.blueprint import DatabaseIsNewer
from tenants.database.outage import is_outage
from tenants.errors import TenantryError
from tenants.resources.errors import DeclarationError
from tenants.roles.permissions import PermissionDeclaredTwice

_NOT_MIGRATED = (pg.UndefinedTable, pg.InvalidSchemaName, pg.UndefinedFunction, pg.UndefinedColumn)


def explain(error: BaseException) -> ErrorReport | None:
    """The report of an expected error; None for an unexpected one, which should show its traceback."""
    for kind, report in _REPORTS:
        if isinstance(error, kind):
            return report(error)
    return None


def _of_command(error: CommandFailed) -> ErrorReport:
    return error.report


def _of_service(error: TenantryError) -> ErrorReport:
    reasons = tuple(f"{each.pointer}: {each.message}" for each in error.errors)
    return ErrorReport(error.code, error.message, reasons or tuple(filter(None, (error.detail,))))


def _of_validation(error: ValidationError) -> ErrorReport:
    # Without the input, which may be a secret.
    if error.title == Settings.__name__:
        settings = tuple(_line(each["loc"], each["msg"], PREFIX) for each in error.errors())
        return ErrorReport(
            "settings_invalid", "Settings are missing or invalid. `tenantry config` lists them.", settings
        )
    details = tuple(_line(each["loc"], each["msg"]) for each in error.errors())
    return ErrorReport("validation_failed", "The input is invalid.", details)


def _line(location: tuple[int | str, ...], message: str, prefix: str = "") -> str:
    path = ".".join(str(part) for part in location)
    name = f"{prefix}{path.upper()}" if prefix and path else path
    reason = message.removeprefix("Value error, ")
    return f"{name}: {reason}" if name else reason


def _of_database(error: DBAPIError | psycopg.Error) -> ErrorReport | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, _NOT_MIGRATED):
        return ErrorReport("not_migrated", "The database is not up to date. Run `tenantry migrate`.", _lines(cause))
    if isinstance(cause, pg.InsufficientPrivilege):
        message = "PostgreSQL denied permission. Run `tenantry doctor`."
        return ErrorReport("forbidden_by_database", message, _lines(cause))
    if is_outage(error):
        return ErrorReport("unavailable", "PostgreSQL is unavailable.", _lines(cause))
    return None


def _lines(error: BaseException | None) -> tuple[str, ...]:
    return tuple(line.strip() for line in str(error).splitlines() if line.strip())


def _of_file(error: OSError) -> ErrorReport | None:
    if error.filename is None:
        return None
    return ErrorReport("file_unusable", f"{error.filename}: {error.strerror}.")


def _with_code(code: str) -> Callable[[Exception], ErrorReport]:
    return lambda error: ErrorReport(code, str(error))


_REPORTS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Callable[..., ErrorReport | None]], ...] = (
    (CommandFailed, _of_command),
    (TenantryError, _of_service),
    (ValidationError, _of_validation),
    ((DBAPIError, psycopg.Error), _of_database),
    ((FileNotFoundError, NotADirectoryError, PermissionError), _of_file),
    (ProgramMissing, _with_code("program_missing")),
    (ServerFailed, _with_code("server_failed")),
    (SetUpFailed, _with_code("set_up_failed")),
    ((DeclarationError, PermissionDeclaredTwice), _with_code("declaration_invalid")),
    (DatabaseIsNewer, _with_code("database_is_newer")),
    (NothingChanged, _with_code("nothing_changed")),
    (SeveralHeads, _with_code("several_heads")),
)
