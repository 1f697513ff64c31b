"""Filters of lists as conditions. Only listed attributes can be compared, all of them with ``eq``."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import ColumnElement

from tenants.identifiers import SCIM_GROUP, USER, ScimGroupId, UserId, read
from tenants.scim import repository
from tenants.scim.errors import InvalidFilter
from tenants.scim.models import ScimGroupRow, ScimUserRow
from tenants.scim.paths import Literal, Path, Selection, parse_filter
from tenants.scim.schemas import GROUP_SCHEMA, USER_SCHEMA

_SCHEMAS = (None, USER_SCHEMA.lower(), GROUP_SCHEMA.lower())

Conditions = Sequence[ColumnElement[bool]]
_Make = Callable[[str], ColumnElement[bool]]


def _user_id(value: str) -> ColumnElement[bool]:
    user = read(USER, value)
    return repository.nothing() if user is None else ScimUserRow.user_id == UserId(user)


def _group_id(value: str) -> ColumnElement[bool]:
    group = read(SCIM_GROUP, value)
    return repository.nothing() if group is None else ScimGroupRow.id == ScimGroupId(group)


def _member(value: str) -> ColumnElement[bool]:
    user = read(USER, value)
    return repository.nothing() if user is None else repository.has_member(UserId(user))


_OF_USERS: Mapping[str, _Make] = {
    "id": _user_id,
    "username": lambda value: repository.same_text(ScimUserRow.user_name, value),
    "externalid": lambda value: ScimUserRow.external_id == value,
}
_OF_GROUPS: Mapping[str, _Make] = {
    "id": _group_id,
    "displayname": lambda value: repository.same_text(ScimGroupRow.display_name, value),
    "externalid": lambda value: ScimGroupRow.external_id == value,
    "members": _member,  # Entra asks so whether a user is in a group
    "members.value": _member,
}


def user_conditions(text: str | None) -> Conditions:
    """What users have to meet. Raises InvalidFilter."""
    return _conditions(text, _OF_USERS)


def group_conditions(text: str | None) -> Conditions:
    """What groups have to meet. Raises InvalidFilter."""
    return _conditions(text, _OF_GROUPS)


def _conditions(text: str | None, known: Mapping[str, _Make]) -> Conditions:
    if text is None:
        return ()
    return [_condition(term.path, term.value, known) for term in parse_filter(text)]


def _condition(path: Path, value: Literal, known: Mapping[str, _Make]) -> ColumnElement[bool]:
    if not isinstance(value, str) or path.schema not in _SCHEMAS:
        raise InvalidFilter
    if known is _OF_USERS and (path.name, path.part) == ("emails", "value"):
        return repository.has_email(value, _email_type(path.where))
    make = known.get(path.name if path.part is None else f"{path.name}.{path.part}")
    if make is None or path.where is not None:
        raise InvalidFilter
    return make(value)


def _email_type(where: Selection | None) -> str | None:
    if where is None:
        return None
    if where.part != "type" or not isinstance(where.value, str):
        raise InvalidFilter
    return where.value
