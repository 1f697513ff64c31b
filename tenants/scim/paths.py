"""Filters of lists and paths of PATCH operations (RFC 7644 sections 3.4.2.2 and 3.5.2): ``eq``, joined by ``and``.

Okta and Entra send no other operator. Attribute names are compared regardless of case.
"""

import re
from dataclasses import dataclass

import orjson

from tenants.scim.errors import InvalidFilter, InvalidPath

MOST_CHARACTERS = 1_000
_MOST_TERMS = 5
_NAME = r"[A-Za-z$][A-Za-z0-9_$-]*"
_SCHEMA = r"urn:[A-Za-z0-9._:-]+"
_VALUE = r'"(?:[^"\\]|\\.)*"|true|false'
_WHERE = rf"\[\s*(?P<where>{_NAME})\s+eq\s+(?P<where_value>{_VALUE})\s*\]"
_TARGET = rf"(?:(?P<schema>{_SCHEMA}):)?(?P<name>{_NAME})(?:{_WHERE})?(?:\.(?P<part>{_NAME}))?"
_PATH = re.compile(_TARGET, re.IGNORECASE)
_TERM = re.compile(rf"\s*{_TARGET}\s+eq\s+(?P<value>{_VALUE})\s*(?P<rest>and\s|$)", re.IGNORECASE)

Literal = str | bool


@dataclass(frozen=True, slots=True)
class Selection:
    """``[type eq "work"]``: values of a multi-valued attribute whose part, named in lower case, is equal to this."""

    part: str
    value: Literal


@dataclass(frozen=True, slots=True)
class Path:
    """``emails[type eq "work"].value``. Names are in lower case; ``schema`` is the URN of an extension."""

    name: str
    part: str | None = None
    where: Selection | None = None
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """What an attribute has to be equal to."""

    path: Path
    value: Literal


def parse_filter(text: str) -> tuple[Term, ...]:
    """The terms of a filter, all of which have to match. Raises InvalidFilter."""
    terms: list[Term] = []
    position = 0
    while len(text) <= MOST_CHARACTERS and len(terms) < _MOST_TERMS and (match := _TERM.match(text, position)):
        terms.append(Term(_path_of(match), _literal(match["value"])))
        if not match["rest"]:
            return tuple(terms)
        position = match.end()
    raise InvalidFilter


def parse_path(text: str) -> Path:
    """The target of an operation. Raises InvalidPath."""
    match = _PATH.fullmatch(text.strip()) if len(text) <= MOST_CHARACTERS else None
    if match is None:
        raise InvalidPath
    try:
        return _path_of(match)
    except InvalidFilter as error:
        raise InvalidPath from error


def _path_of(match: re.Match[str]) -> Path:
    where = Selection(match["where"].lower(), _literal(match["where_value"])) if match["where"] else None
    part, schema = match["part"], match["schema"]
    return Path(match["name"].lower(), part and part.lower(), where, schema and schema.lower())


def _literal(text: str) -> Literal:
    try:
        value: Literal = orjson.loads(text if text.startswith('"') else text.lower())
    except orjson.JSONDecodeError as error:
        raise InvalidFilter from error
    return value
