"""Responses of SCIM as plain values: a page of groups can hold thousands of members, which models would slow down."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tenants.identifiers import SCIM_GROUP, USER, show
from tenants.scim.groups import ProvisionedGroup
from tenants.scim.repository import ProvisionedUser
from tenants.scim.schemas import ENTERPRISE_SCHEMA, GROUP_SCHEMA, LIST_MESSAGE, USER_SCHEMA
from tenants.scim.service import document_of

Resource = dict[str, Any]
_ALWAYS = frozenset({"schemas", "id"})  # RFC 7643 section 3.1, returned: always


@dataclass(frozen=True, slots=True)
class Shape:
    """Names of attributes in lower case: those to return, and those to leave out (RFC 7644 section 3.9)."""

    wanted: frozenset[str] = frozenset()  # empty is all
    unwanted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, attributes: str | None, excluded: str | None) -> "Shape":
        """From the two parameters. Of a path the first name counts: a complex attribute is returned whole."""
        return cls(_names(attributes), _names(excluded))

    def has(self, name: str) -> bool:
        """Whether an attribute is returned."""
        lower = name.lower()
        return name in _ALWAYS or (lower not in self.unwanted and (not self.wanted or lower in self.wanted))

    def cut(self, resource: Resource) -> Resource:
        """The resource without the attributes that are not returned."""
        return {name: value for name, value in resource.items() if self.has(name)}


def user_resource(user: ProvisionedUser, base: str, version: str) -> Resource:
    """A user. ``base`` is the URL of the SCIM API, ``version`` the ETag."""
    document = document_of(user)
    schemas = [USER_SCHEMA, *([ENTERPRISE_SCHEMA] if ENTERPRISE_SCHEMA in document else [])]
    identifier = show(USER, user.row.user_id)
    meta = _meta("User", f"{base}/Users/{identifier}", version, user.row.created_at, user.updated_at)
    return {"schemas": schemas, "id": identifier, **document, "meta": meta}


def group_resource(group: ProvisionedGroup, base: str, version: str) -> Resource:
    """A group, with its members if they were read."""
    row, identifier = group.row, show(SCIM_GROUP, group.row.id)
    found: Resource = {"schemas": [GROUP_SCHEMA], "id": identifier, "displayName": row.display_name}
    if row.external_id is not None:
        found["externalId"] = row.external_id
    if group.members is not None:
        found["members"] = [_member(show(USER, each.user), each.user_name, base) for each in group.members]
    found["meta"] = _meta("Group", f"{base}/Groups/{identifier}", version, row.created_at, row.updated_at)
    return found


def list_response(resources: Sequence[Resource], total: int, start: int = 1) -> Resource:
    """One page of a list."""
    return {
        "schemas": [LIST_MESSAGE],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": resources,
    }


def _member(user: str, name: str, base: str) -> Resource:
    return {"value": user, "$ref": f"{base}/Users/{user}", "display": name, "type": "User"}


def _meta(kind: str, location: str, version: str, created: datetime, modified: datetime) -> Resource:
    return {
        "resourceType": kind,
        "created": created,
        "lastModified": modified,
        "location": location,
        "version": version,
    }


def _names(parameter: str | None) -> frozenset[str]:
    listed: Collection[str] = () if parameter is None else parameter.split(",")
    # The URN of a schema before a name ends with a colon; a part follows a dot.
    return frozenset(name for each in listed if (name := _first_name(each.strip().lower())))


def _first_name(path: str) -> str:
    if path == ENTERPRISE_SCHEMA.lower():
        return path
    schema, _, name = path.rpartition(":")
    return schema if schema == ENTERPRISE_SCHEMA.lower() else name.partition(".")[0]
