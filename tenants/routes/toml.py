"""``routes.toml``: a configuration as a file, and the line of the file that a fault is in."""

import re
import tomllib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import tomli_w
from pydantic import ValidationError

from tenants.errors import MOST_ERRORS, ValidationFailed
from tenants.routes.faults import pointer_of
from tenants.routes.schemas import Configuration
from tenants.routes.stored import stored_configuration

_CONTROLS = re.compile("[\u0080-\u009f]")


class FileInvalid(Exception):
    """A file that cannot be applied. ``faults`` are sentences, each with its line."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(self.faults))


class RoutesFile:
    """The text of a ``routes.toml``."""

    def __init__(self, text: str) -> None:
        self._text = text

    def configuration(self) -> Configuration:
        """What the file declares, each value by itself. Raises FileInvalid."""
        try:
            return Configuration.model_validate(tomllib.loads(self._text))
        except tomllib.TOMLDecodeError as error:
            raise FileInvalid([str(error)]) from error
        except ValidationError as error:
            found = islice(error.errors(include_url=False, include_input=False), MOST_ERRORS)
            raise self._invalid((_pointer(each["loc"]), each["msg"]) for each in found) from error

    def refused(self, error: ValidationFailed) -> FileInvalid:
        """The faults of the whole, with the lines that they are in."""
        return self._invalid((each.pointer, each.message) for each in error.errors)

    def _invalid(self, faults: Iterable[tuple[str, str]]) -> FileInvalid:
        lines = Lines(self._text)
        found = sorted((lines.of(pointer), pointer, message) for pointer, message in faults)
        return FileInvalid(f"line {line}: {pointer}: {message}" for line, pointer, message in found)


def _pointer(location: tuple[int | str, ...]) -> str:
    """Of an error of pydantic, which marks an error of a key by a last step."""
    return pointer_of(tuple(step for step in location if step != "[key]"))


def write_toml(configuration: Configuration) -> str:
    """A file that applies to no change. Without members that have their default."""
    # A field value may have the controls U+0080 to U+009F, which would act on a terminal. They are in strings only.
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04X}", tomli_w.dumps(stored_configuration(configuration)))


class Lines:
    """Finds where a value is written in a file that can be read.

    ``tomllib`` gives no positions. It reads every beginning of the file that ends between two statements, so the first
    beginning that has the value ends with the statement that wrote it.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.replace("\r\n", "\n").split("\n")
        self._read: dict[int, dict[str, Any] | None] = {0: {}}

    def of(self, pointer: str) -> int:
        """The line, from 1 on, at which the value begins, or what it would be in if it is missing."""
        steps = pointer.split("/")[1:]
        known = [step.replace("~1", "/").replace("~0", "~") for step in steps]
        while known and not _has(self._beginning(len(self._lines)), known):
            known.pop()
        return self._first_with(known) if known else 1

    def _first_with(self, steps: Sequence[str]) -> int:
        without, having = 0, len(self._lines)
        while having - without > 1:
            middle = (without + having) // 2
            if _has(self._beginning(middle), steps):
                having = middle
            else:
                without = middle
        return self._start_of_statement(having)

    def _start_of_statement(self, last: int) -> int:
        """The first line of the statement that ends with this line: a value can go over several."""
        first = last
        while self._parsed(first - 1) is None:
            first -= 1
        return first

    def _beginning(self, count: int) -> dict[str, Any]:
        """What the longest readable beginning of at most so many lines has."""
        while (found := self._parsed(count)) is None:
            count -= 1
        return found

    def _parsed(self, count: int) -> dict[str, Any] | None:
        if count not in self._read:
            try:
                self._read[count] = tomllib.loads("\n".join(self._lines[:count]))
            except tomllib.TOMLDecodeError:
                self._read[count] = None
        return self._read[count]


def _has(value: Any, steps: Sequence[str]) -> bool:
    """Whether there is a value at the end of these steps."""
    for step in steps:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return False
    return True
