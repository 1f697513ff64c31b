"""The permissions that routes introduce, and what is refused of them."""

from typing import Any

import pytest

from tenants.roles.permissions import Grade, Permission, catalogue
from tenants.routes import permissions
from tenants.routes.permissions import MOST_INTRODUCED, introduced, permission_faults
from tenants.routes.schemas import Configuration

_FIXED = catalogue(["contacts"])


def _configuration(*routes: dict[str, Any]) -> Configuration:
    given = [{"name": f"r{at}", "upstream": "u", "path": f"/r{at}"} | each for at, each in enumerate(routes)]
    return Configuration.model_validate({"routes": given})


@pytest.mark.parametrize(
    ("route", "grade"),
    [
        ({"methods": ["GET"]}, Grade.READ_DATA),
        ({"methods": ["GET", "OPTIONS"]}, Grade.READ_DATA),
        ({"methods": ["GET", "POST"]}, Grade.WRITE_DATA),
        ({}, Grade.WRITE_DATA),  # of every method
        ({"grade": "read_data"}, Grade.READ_DATA),
        ({"methods": ["GET"], "grade": "own"}, Grade.OWN),
    ],
)
def test_the_grade_is_given_or_follows_from_the_methods(route: dict[str, Any], grade: Grade) -> None:
    """AZ1: so that those who read data do not get to write by a route."""
    found = introduced(_configuration({"permission": "echo:use"} | route), _FIXED)
    assert found == (Permission("echo", "use", grade),)


def test_a_permission_by_method_has_the_grade_of_its_methods() -> None:
    """AZ1: one route introduces as many as it names; what exists is introduced by none."""
    rights = {"GET": "echo:read", "POST": "echo:write", "PUT": "contacts:update"}
    found = introduced(_configuration({"permission": "echo:use", "permissions": rights}), _FIXED)
    grades = {each.name: each.grade for each in found}
    assert grades == {"echo:read": Grade.READ_DATA, "echo:write": Grade.WRITE_DATA, "echo:use": Grade.WRITE_DATA}


def test_a_stored_version_is_read_with_the_fewest_rights() -> None:
    """AZ1: what would be refused now was stored before the deployment had more resources, or by another release."""
    stored = _configuration(
        {"permission": "echo:use", "methods": ["GET"]},
        {"permission": "echo:use", "methods": ["POST"]},
        {"permission": "jobs:run", "grade": "manage"},
        {"permission": "jobs:run", "grade": "read_data"},
        {"permission": "api_keys:steal", "grade": "read_data"},
        {"permission": "contacts:read", "grade": "own"},
    )
    found = {each.name: each.grade for each in introduced(stored, _FIXED)}
    assert found == {"echo:use": Grade.WRITE_DATA, "jobs:run": Grade.MANAGE}


@pytest.mark.parametrize(
    ("routes", "faults"),
    [
        ([{"permission": "api_keys:read"}], [("/routes/0/permission", "not_allowed")]),
        ([{"permission": "contacts:export"}], [("/routes/0/permission", "unknown_permission")]),
        ([{"permission": "contacts:export", "grade": "manage"}], []),
        ([{"permission": "contacts:read"}], []),
        (
            [{"permission": "a:b", "methods": ["GET"]}, {"permission": "a:b", "methods": ["PUT"]}],
            [("/routes/0/permission", "not_allowed"), ("/routes/1/permission", "not_allowed")],
        ),
        ([{"permission": "a:b", "methods": ["GET"], "grade": "write_data"}, {"permission": "a:b"}], []),
    ],
)
def test_what_routes_require_exists_or_is_introduced_clearly(
    routes: list[dict[str, Any]], faults: list[tuple[str, str]]
) -> None:
    """AZ1: nothing of management, no misspelt permission of a resource, one grade for each."""
    found = permission_faults(_configuration(*routes), _FIXED)
    assert [(each.pointer, each.code) for each in found] == faults


def test_the_number_of_new_permissions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """LD1: all permissions of a principal are decided in one request."""
    assert MOST_INTRODUCED == 500
    monkeypatch.setattr(permissions, "MOST_INTRODUCED", 3)
    routes = [{"permission": f"a:p{number}"} for number in range(4)]
    assert list(permission_faults(_configuration(*routes[:3]), _FIXED)) == []
    found = permission_faults(_configuration(*routes), _FIXED)
    assert [(each.pointer, each.code) for each in found] == [("/routes", "too_long")]
