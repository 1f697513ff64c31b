"""Conditions on a list of keys, in the operators that every list has, and the rows of the list."""

from dataclasses import dataclass
from enum import StrEnum

from tenants.api_keys.models import ApiKey, ApiKeyUse
from tenants.crud.filters import Operator
from tenants.identifiers import ApiKeyId


class KeyField(StrEnum):
    """What keys are filtered by."""

    STATUS = "status"
    ROLE = "role"
    NAME = "name"
    CREATED_BY = "created_by"
    CREATED_AT = "created_at"
    EXPIRES_AT = "expires_at"
    LAST_USED_AT = "last_used_at"


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """One condition. ``value`` is what the operator needs: several values for ``in``, a text for ``contains``."""

    field: KeyField
    operator: Operator
    value: object


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key, and how it is used; None for a key without use."""

    key: ApiKey
    use: ApiKeyUse | None

    @property
    def id(self) -> ApiKeyId:
        """The key's id, by which lists are ordered."""
        return self.key.id
