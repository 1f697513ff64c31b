"""The query of the list of API keys: conditions as ``field=value`` and ``field[operator]=value``."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway.api.pages import ListQuery
from tenants.api_keys.filters import KeyField, KeyFilter
from tenants.api_keys.status import KeyStatus
from tenants.crud.filters import Operator
from tenants.identifiers import API_KEY, USER, example_of, read
from tenants.values.timestamps import Timestamp

_MOST_VALUES = 20  # of one `[in]`


def _parts(value: object) -> object:
    """The values of a list: separated by commas, the parameter several times, or both."""
    if not isinstance(value, list):
        return value
    return [part for text in value for part in (text.split(",") if isinstance(text, str) else (text,))]


def _maker(value: object) -> object:
    found = (read(USER, value) or read(API_KEY, value)) if isinstance(value, str) else None
    if found is None:
        raise PydanticCustomError("bad_format", "Must be the id of a person or of an API key.")
    return found


_SPLIT = BeforeValidator(_parts)
_Maker = Annotated[
    UUID,
    BeforeValidator(_maker),
    WithJsonSchema({"type": "string", "format": "typeid", "examples": [example_of(USER)]}),
]
_Text = Annotated[str, Field(max_length=100)]


class ApiKeyFilters(BaseModel):
    """Which keys; all that are given must hold. ``[ne]`` also matches what has no value."""

    model_config = ConfigDict(extra="forbid")

    status: Annotated[KeyStatus | None, Field(description="Only keys with this status.")] = None
    status_ne: Annotated[KeyStatus | None, Field(alias="status[ne]", description="Only keys with another one.")] = None
    status_in: Annotated[
        list[KeyStatus] | None,
        _SPLIT,
        Field(alias="status[in]", max_length=_MOST_VALUES, description="One of these, separated by commas."),
    ] = None
    role: Annotated[_Text | None, Field(description="Only keys with this role.")] = None
    role_ne: Annotated[_Text | None, Field(alias="role[ne]", description="Only keys with another role.")] = None
    role_in: Annotated[
        list[_Text] | None,
        _SPLIT,
        Field(alias="role[in]", max_length=_MOST_VALUES, description="One of these, separated by commas."),
    ] = None
    name: Annotated[_Text | None, Field(description="Only keys with exactly this name.")] = None
    name_ne: Annotated[_Text | None, Field(alias="name[ne]", description="Only keys with another name.")] = None
    name_contains: Annotated[
        _Text | None, Field(alias="name[contains]", description="Only keys whose name contains this, in any case.")
    ] = None
    name_starts_with: Annotated[
        _Text | None, Field(alias="name[starts_with]", description="Only keys whose name begins so, in any case.")
    ] = None
    created_by: Annotated[_Maker | None, Field(description="Only keys that this person or this key made.")] = None
    created_by_none: Annotated[
        bool | None, Field(alias="created_by[is_null]", description="Only keys of the SaaS's staff, or others.")
    ] = None
    created_at_gt: Annotated[Timestamp | None, Field(alias="created_at[gt]", description="Made after this.")] = None
    created_at_gte: Annotated[Timestamp | None, Field(alias="created_at[gte]", description="Made then or later.")] = (
        None
    )
    created_at_lt: Annotated[Timestamp | None, Field(alias="created_at[lt]", description="Made before this.")] = None
    created_at_lte: Annotated[Timestamp | None, Field(alias="created_at[lte]", description="Made then or before.")] = (
        None
    )
    expires_at_gt: Annotated[Timestamp | None, Field(alias="expires_at[gt]", description="Ends after this.")] = None
    expires_at_gte: Annotated[Timestamp | None, Field(alias="expires_at[gte]", description="Ends then or later.")] = (
        None
    )
    expires_at_lt: Annotated[Timestamp | None, Field(alias="expires_at[lt]", description="Ends before this.")] = None
    expires_at_lte: Annotated[Timestamp | None, Field(alias="expires_at[lte]", description="Ends then or before.")] = (
        None
    )
    expires_at_none: Annotated[
        bool | None, Field(alias="expires_at[is_null]", description="Only keys without an expiry, or with one.")
    ] = None
    used_gt: Annotated[Timestamp | None, Field(alias="last_used_at[gt]", description="Last used after this.")] = None
    used_gte: Annotated[Timestamp | None, Field(alias="last_used_at[gte]", description="Used then or later.")] = None
    used_lt: Annotated[Timestamp | None, Field(alias="last_used_at[lt]", description="Last used before this.")] = None
    used_lte: Annotated[Timestamp | None, Field(alias="last_used_at[lte]", description="Used then or before.")] = None
    used_none: Annotated[
        bool | None, Field(alias="last_used_at[is_null]", description="Only keys without use, or with some.")
    ] = None

    def selected(self) -> tuple[KeyFilter, ...]:
        """As the repository takes them."""
        own = {name: field.alias or name for name, field in ApiKeyFilters.model_fields.items()}
        given = {alias: value for name, alias in own.items() if (value := getattr(self, name)) is not None}
        return tuple(_filter(alias, value) for alias, value in given.items())


class ApiKeyQuery(ApiKeyFilters, ListQuery):
    """Query of the list of API keys."""


def _filter(parameter: str, value: object) -> KeyFilter:
    field, _, operator = parameter.removesuffix("]").partition("[")
    return KeyFilter(KeyField(field), Operator(operator or Operator.EQ), value)
