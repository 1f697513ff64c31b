"""The schemas of a document beyond those of the models: problem documents, and one name for each model."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, cast

from gateway.problems.scim import ERROR_MESSAGE

PROBLEM_NAME = "ProblemDetails"
SCIM_ERROR_NAME = "ScimError"
OAUTH_ERROR_NAME = "OAuthError"
_PREFIX = "#/components/schemas/"
_OURS = ("billing__", "gateway__", "migrations__", "tenants__")
_RESOURCES = "gateway__data__models__"  # made for the resources of the SaaS
_PAGE = re.compile(r"Page_(\w+?)(?:Response)?_")
_CODE = {"type": "string", "description": "Stable, in snake case."}


def problem_schema(base: str) -> dict[str, Any]:
    """RFC 9457, with members of our own. ``base`` is the public URL, which has the pages that ``type`` leads to."""
    return {
        "type": "object",
        "description": "RFC 9457. The page at `type` says what the code means and what to do.",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What is wrong and what to do. The text can change."},
            "code": _CODE,
            "request_id": {"type": "string", "description": "Quote it when you report the problem."},
            "errors": {
                "type": "array",
                "description": "With status 422: each invalid value.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "code", "message"],
                    "properties": {
                        "pointer": {
                            "type": "string",
                            "description": "RFC 6901; starts with `/query/` for a parameter.",
                        },
                        "code": _CODE,
                        "message": {"type": "string"},
                    },
                },
            },
        },
        "examples": [
            {
                "type": f"{base}/problems/validation_failed",
                "title": "Validation failed",
                "status": 422,
                "detail": "The input is invalid. See the list of errors.",
                "code": "validation_failed",
                "request_id": "req_01kc2q7v8ze1rb9m3x5w6t0h4d",
                "errors": [{"pointer": "/name", "code": "missing", "message": "This is required."}],
            }
        ],
    }


def scim_error_schema() -> dict[str, Any]:
    """RFC 7644 section 3.12."""
    return {
        "type": "object",
        "description": "RFC 7644 section 3.12.",
        "required": ["schemas", "status", "detail"],
        "properties": {
            "schemas": {"type": "array", "items": {"type": "string"}},
            "status": {"type": "string", "description": "The status code, as text."},
            "scimType": {"type": "string", "description": "A keyword of RFC 7644, table 9, where one applies."},
            "detail": {"type": "string", "description": "What is wrong and what to do. The text can change."},
        },
        "examples": [
            {
                "schemas": [ERROR_MESSAGE],
                "status": "409",
                "scimType": "uniqueness",
                "detail": "Another user of the tenant has this userName.",
            }
        ],
    }


def oauth_error_schema(base: str) -> dict[str, Any]:
    """RFC 6749 section 5.2, with members of our own."""
    return {
        "type": "object",
        "description": "RFC 6749 section 5.2, with `code` and `request_id`.",
        "required": ["error", "error_description", "code", "request_id"],
        "properties": {
            "error": {"type": "string", "description": "A code of RFC 6749, RFC 8693 or RFC 8707."},
            "error_description": {"type": "string", "description": "What is wrong. The text can change."},
            "error_uri": {"type": "string", "format": "uri"},
            "code": _CODE,
            "request_id": {"type": "string", "description": "Quote it when you report the problem."},
        },
        "examples": [
            {
                "error": "invalid_client",
                "error_description": "The client cannot be authenticated.",
                "error_uri": f"{base}/problems/credential_invalid",
                "code": "credential_invalid",
                "request_id": "req_01kc2q7v8ze1rb9m3x5w6t0h4d",
            }
        ],
    }


def shorten_names(document: dict[str, Any]) -> None:
    """Name schemas as a client should: ``ApiKeyPage`` for ``Page[ApiKeyResponse]``, and plain names for the SaaS.

    pydantic names two models that have one name by their modules. Of a model of the SaaS and one of Tenantry, that of
    the SaaS keeps its name, to which ``documented_as`` refers.
    """
    schemas: dict[str, Any] = document.get("components", {}).get("schemas", {})
    renamed = _short_names(schemas)
    if renamed:
        document["components"]["schemas"] = {renamed.get(name, name): each for name, each in schemas.items()}
        _rename_references(document, {_PREFIX + name: _PREFIX + short for name, short in renamed.items()})


def _short_names(schemas: Mapping[str, Any]) -> dict[str, str]:
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for name in schemas:
        if "__" in name:
            alike[name.rpartition("__")[2]].append(name)
    renamed = {name: f"{page[1]}Page" for name in schemas if (page := _PAGE.fullmatch(name))}
    if PROBLEM_NAME in schemas:
        renamed[PROBLEM_NAME] = f"Own{PROBLEM_NAME}"
    for short, names in alike.items():
        own = [each for each in names if each.startswith(_OURS) and not each.startswith(_RESOURCES)]
        renamed |= {each: f"Tenantry{short}" for each in own if len(own) == 1}
        others = [each for each in names if each not in own]
        renamed |= {each: short for each in others if len(others) == 1}
    return renamed


def _rename_references(value: object, renamed: Mapping[str, str]) -> None:
    if isinstance(value, dict):
        node = cast("dict[str, object]", value)
        reference = node.get("$ref")
        if isinstance(reference, str) and reference in renamed:
            node["$ref"] = renamed[reference]
        for each in node.values():
            _rename_references(each, renamed)
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            _rename_references(each, renamed)
