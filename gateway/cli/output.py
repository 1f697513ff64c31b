"""Output of commands: results to standard output, progress and errors to standard error.

Stored text and input are escaped, so that they cannot act on the terminal.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from tenants.values.shown import escaped


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """A stable code, a sentence, and details, one a line."""

    code: str
    message: str
    details: tuple[str, ...] = ()


class CommandFailed(Exception):
    """Raised by commands for errors of their own."""

    def __init__(self, code: str, message: str, *details: str) -> None:
        self.report = ErrorReport(code, message, details)
        super().__init__(message)


def print_json(value: Mapping[str, Any]) -> None:
    """One object on standard output."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
    sys.stdout.write(escaped(text, keep="\n") + "\n")


def print_fields(fields: Mapping[str, object]) -> None:
    """One object, one field a line. Nothing is truncated or wrapped, so that ids and secrets can be copied."""
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        sys.stdout.write(f"{name.ljust(width)}  {_text(value)}\n")


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Several objects, one a line, in aligned columns without truncation."""
    lines = [list(columns), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def print_object(value: Mapping[str, Any], names: Sequence[str] | None = None, *, as_json: bool) -> None:
    """One object: all of it as JSON, or the fields of these names, by default all, as text."""
    if as_json:
        print_json(value)
    else:
        print_fields(value if names is None else {name: value[name] for name in names})


def print_list(found: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Several objects: all of them as JSON, or these columns as text."""
    if as_json:
        print_json({"data": found})
    else:
        print_rows(columns, ([each[column] for column in columns] for each in found))


def errors_console() -> Console:
    """Standard error, with colours on a terminal."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_error(report: ErrorReport, *, as_json: bool) -> None:
    """Print it: as an object to standard output, or as text to standard error."""
    if as_json:
        print_json({"error": {"code": report.code, "message": report.message, "details": list(report.details)}})
        return
    console = errors_console()
    console.print(Text.assemble(("Error: ", "bold red"), escaped(report.message, keep="\n")))
    for detail in report.details:
        console.print(Text(f"  {escaped(detail)}"))


def warn_unless_sent(sent_at: object) -> None:
    """After an invitation: a warning on standard error when mail is off, and how to send it later."""
    if sent_at is None:
        errors_console().print(
            "Mail is off: the invitation was created and not sent. Set TENANTRY_SMTP_HOST and TENANTRY_MAIL_FROM, then"
            " run `tenantry members invite` with the same address and role."
        )


def progress_bar() -> Progress:
    """A progress bar on standard error; nothing when that is not a terminal."""
    console = errors_console()
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return escaped(", ".join(str(each) for each in value)) or "-"
    return escaped(str(value))
