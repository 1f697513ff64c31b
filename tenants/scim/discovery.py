"""What is supported: ``/ServiceProviderConfig``, ``/ResourceTypes`` and ``/Schemas`` (RFC 7643 sections 5 to 7).

The schemas are made from the models that requests are read with.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from tenants.scim.documents import Attribute, ScimModel, attributes_of
from tenants.scim.schemas import (
    ENTERPRISE_SCHEMA,
    GROUP_SCHEMA,
    USER_SCHEMA,
    ScimEnterprise,
    ScimGroupRequest,
    ScimUserRequest,
)

MOST_RESULTS = 200  # of one page
_CONFIG = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
_RESOURCE_TYPE = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
_NOT_LISTED = frozenset({"schemas", ENTERPRISE_SCHEMA.lower()})  # common to all, and a schema of its own
_SCHEMAS: Mapping[str, tuple[str, str, type[ScimModel]]] = {
    USER_SCHEMA: ("User", "A person in the tenant.", ScimUserRequest),
    GROUP_SCHEMA: ("Group", "A group of people in the tenant.", ScimGroupRequest),
    ENTERPRISE_SCHEMA: ("EnterpriseUser", "What an enterprise knows of a person.", ScimEnterprise),
}


def service_provider_config(base: str) -> dict[str, Any]:
    """``base`` is the URL of the SCIM API."""
    return {
        "schemas": [_CONFIG],
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MOST_RESULTS},
        "changePassword": {"supported": False},
        "sort": {"supported": False},
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "API key",
                "description": "An API key of the tenant with the permission scim:manage, as a bearer token.",
                "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{base}/ServiceProviderConfig"},
    }


def resource_types(base: str) -> list[dict[str, Any]]:
    """Users and groups."""
    extensions = {"User": [{"schema": ENTERPRISE_SCHEMA, "required": False}], "Group": []}
    found = []
    for name, schema in (("User", USER_SCHEMA), ("Group", GROUP_SCHEMA)):
        found.append(
            {
                "schemas": [_RESOURCE_TYPE],
                "id": name,
                "name": name,
                "endpoint": f"/{name}s",
                "schema": schema,
                "schemaExtensions": extensions[name],
                "meta": {"resourceType": "ResourceType", "location": f"{base}/ResourceTypes/{name}"},
            }
        )
    return found


def schemas(base: str) -> list[dict[str, Any]]:
    """Every schema with its attributes."""
    return [
        {
            "schemas": [_SCHEMA],
            "id": urn,
            "name": name,
            "description": description,
            "attributes": _attributes(name, model),
            "meta": {"resourceType": "Schema", "location": f"{base}/Schemas/{urn}"},
        }
        for urn, (name, description, model) in _SCHEMAS.items()
    ]


@cache
def _attributes(name: str, model: type[ScimModel]) -> list[dict[str, Any]]:
    known = attributes_of(model).values()
    return [
        _described(each, is_unique=each.name in _unique_in(name))
        for each in known
        if each.name.lower() not in _NOT_LISTED
    ]


def _unique_in(schema: str) -> frozenset[str]:
    return frozenset({"userName"} if schema == "User" else {"displayName"} if schema == "Group" else ())


def _described(attribute: Attribute, *, is_unique: bool = False) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": attribute.name,
        "type": _type_of(attribute),
        "multiValued": attribute.is_list,
        "description": attribute.info.description or _summary(attribute.kind) or attribute.name,
        "required": attribute.info.is_required(),
        "mutability": "readWrite",
        "returned": "default",
    }
    if attribute.parts:
        described["subAttributes"] = _listed(attribute.parts.values())
    elif described["type"] == "reference":
        described |= {"referenceTypes": ["User"], "caseExact": True}
    elif described["type"] == "string":
        described |= {"caseExact": attribute.name == "externalId", "uniqueness": "server" if is_unique else "none"}
    return described


def _listed(attributes: Iterable[Attribute]) -> list[dict[str, Any]]:
    return [_described(each) for each in attributes]


def _type_of(attribute: Attribute) -> str:
    if attribute.parts:
        return "complex"
    return "boolean" if attribute.kind is bool else "reference" if attribute.name == "$ref" else "string"


def _summary(kind: type) -> str | None:
    return kind.__doc__ if issubclass(kind, BaseModel) else None
