"""What can be expected to go wrong, told in a sentence and without a traceback."""

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import errors as pg
from pydantic import ValidationError
from rich.text import Text
from sqlalchemy.exc import DBAPIError

from gateway.cli.output import errors_console, print_json
from gateway.development.ports import PartFailed, PartMissing
from gateway.settings import PREFIX, Settings
from migrations.autogenerate import NothingChanged, SeveralHeads
from migrations.blueprint import DatabaseIsNewer
from tenants.database.outage import is_outage
from tenants.errors import TenantryError, ValidationFailed
from tenants.resources.errors import DeclarationError
from tenants.roles.permissions import PermissionDeclaredTwice

_NOT_MIGRATED = (pg.UndefinedTable, pg.InvalidSchemaName, pg.UndefinedFunction, pg.UndefinedColumn)


@dataclass(frozen=True, slots=True)
class Fault:
    """A stable code, a sentence, and what belongs to it line by line."""

    code: str
    message: str
    details: tuple[str, ...] = ()


class CommandFailed(Exception):
    """Raised by a command that knows what is wrong."""

    def __init__(self, code: str, message: str, *details: str) -> None:
        self.fault = Fault(code, message, details)
        super().__init__(message)


def fault_of(error: BaseException) -> Fault | None:
    """What to say of it, or None for what nobody expected: that deserves its traceback."""
    for kind, explain in _EXPLANATIONS:
        if isinstance(error, kind):
            return explain(error)
    return None


def show_fault(fault: Fault, *, as_json: bool) -> None:
    """Print it: as an object to standard output, or as text to standard error."""
    if as_json:
        print_json({"error": {"code": fault.code, "message": fault.message, "details": list(fault.details)}})
        return
    console = errors_console()
    console.print(Text.assemble(("Error: ", "bold red"), fault.message))
    for detail in fault.details:
        console.print(Text(f"  {detail}"))


def _own(error: CommandFailed) -> Fault:
    return error.fault


def _refused(error: TenantryError) -> Fault:
    found = error.errors if isinstance(error, ValidationFailed) else ()
    reasons = tuple(f"{each.pointer}: {each.message}" for each in found)
    return Fault(error.code, error.message, reasons or tuple(filter(None, (error.detail,))))


def _invalid(error: ValidationError) -> Fault:
    # The input is never shown: it may be a secret.
    of_settings = error.title == Settings.__name__
    details = tuple(f"{_name(each['loc'], of_settings)}{_reason(each['msg'])}" for each in error.errors())
    if of_settings:
        return Fault("settings_invalid", "The settings are not complete. `tenantry config` lists them.", details)
    return Fault("validation_failed", "The input is invalid. See the list of errors.", details)


def _name(location: tuple[int | str, ...], of_settings: bool) -> str:  # noqa: FBT001 - one of two spellings
    path = ".".join(str(part) for part in location)
    if not path:
        return ""
    return f"{PREFIX}{path.upper()}: " if of_settings else f"{path}: "


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")


def _database(error: DBAPIError | psycopg.Error) -> Fault | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, _NOT_MIGRATED):
        return Fault("not_migrated", "The database is not up to date. Run `tenantry migrate`.", _said(cause))
    if isinstance(cause, pg.InsufficientPrivilege):
        return Fault("forbidden_by_database", "PostgreSQL refused it. See `tenantry doctor`.", _said(cause))
    if is_outage(error):
        return Fault("unavailable", "PostgreSQL does not answer.", _said(cause))
    return None


def _said(error: BaseException | None) -> tuple[str, ...]:
    return tuple(line.strip() for line in str(error).splitlines() if line.strip())


def _plain(code: str) -> Callable[[Exception], Fault]:
    return lambda error: Fault(code, str(error))


_EXPLANATIONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Callable[..., Fault | None]], ...] = (
    (CommandFailed, _own),
    (TenantryError, _refused),
    (ValidationError, _invalid),
    ((DBAPIError, psycopg.Error), _database),
    (PartMissing, _plain("part_missing")),
    (PartFailed, _plain("part_failed")),
    ((DeclarationError, PermissionDeclaredTwice), _plain("declaration_invalid")),
    (DatabaseIsNewer, _plain("database_is_newer")),
    (NothingChanged, _plain("nothing_changed")),
    (SeveralHeads, _plain("several_heads")),
)
