"""PATCH operations on a user (RFC 7644 section 3.5.2), in all forms that providers send."""

from copy import deepcopy
from typing import Any

import pytest

from tenants.scim.documents import attributes_of, checked
from tenants.scim.errors import InvalidPath, InvalidValue, NoTarget, ReadOnlyAttribute
from tenants.scim.patches import Patcher, apply
from tenants.scim.schemas import ENTERPRISE_SCHEMA, USER_SCHEMA, ScimOperation, ScimUserRequest

_WORK, _HOME = {"value": "a@work.example", "type": "work", "primary": True}, {"value": "a@home.example", "type": "home"}


def _patched(*operations: dict[str, Any], **document: Any) -> dict[str, Any]:
    before = {"userName": "ada", **deepcopy(document)}
    patcher = Patcher(before, USER_SCHEMA, attributes_of(ScimUserRequest))
    for each in operations:
        apply(ScimOperation.model_validate(each), patcher.change)
    after = checked(ScimUserRequest, before).model_dump(by_alias=True, exclude_unset=True, exclude={"user_name"})
    return {name: value for name, value in after.items() if name not in document or value != document[name]}


@pytest.mark.parametrize("op", ["add", "replace", "Add", "Replace"])
def test_values_are_set_by_path_and_by_name(op: str) -> None:
    """Entra capitalises the operation, and puts paths where names are."""
    assert _patched({"op": op, "path": "title", "value": "Analyst"}) == {"title": "Analyst"}
    assert _patched({"op": op, "path": "TITLE", "value": "Analyst"}) == {"title": "Analyst"}
    assert _patched({"op": op, "path": f"{USER_SCHEMA}:title", "value": "A"}) == {"title": "A"}
    values = {"title": "A", "name.givenName": "Ada", f"{ENTERPRISE_SCHEMA}:department": "R", "unknown": 1, "id": "x"}
    expected = {"title": "A", "name": {"givenName": "Ada"}, ENTERPRISE_SCHEMA: {"department": "R"}}
    assert _patched({"op": op, "value": values}) == expected
    whole = {ENTERPRISE_SCHEMA: {"department": "R", "unknown": 1}, "name": {"GIVENNAME": "Ada"}}
    assert _patched({"op": op, "value": whole}) == {key: expected[key] for key in (ENTERPRISE_SCHEMA, "name")}


def test_text_is_read_as_a_boolean() -> None:
    """Entra sends "False" for false."""
    for value, active in (("False", False), ("true", True), (False, False)):
        assert _patched({"op": "Replace", "path": "active", "value": value}) == {"active": active}
    for wrong in ("no", 0.5, "", [True]):
        with pytest.raises(InvalidValue):
            _patched({"op": "replace", "path": "active", "value": wrong})


def test_a_complex_value_is_merged() -> None:
    name = {"givenName": "Ada", "familyName": "Byron"}
    changed = _patched({"op": "replace", "path": "name", "value": {"familyName": "Lovelace"}}, name=name)
    assert changed == {"name": {"givenName": "Ada", "familyName": "Lovelace"}}


def test_a_value_of_several_is_selected() -> None:
    """Replace needs one that matches where there are some; add makes it."""
    path = 'emails[type eq "work"].value'
    new = {"value": "b@work.example", "type": "work"}
    for op in ("add", "replace"):
        changed = _patched({"op": op, "path": path, "value": "b@work.example"}, emails=[_WORK, _HOME])
        assert changed["emails"][0]["value"] == "b@work.example"
        assert _patched({"op": op, "path": path, "value": "b@work.example"}) == {"emails": [new]}
    assert _patched({"op": "add", "path": path, "value": "b@work.example"}, emails=[_HOME])["emails"][1] == new
    with pytest.raises(NoTarget):
        _patched({"op": "replace", "path": path, "value": "b@work.example"}, emails=[_HOME])


def test_values_of_several_are_added_replaced_and_removed() -> None:
    """A value that is there is not added again. Entra removes by listing values, others by a filter."""
    both = [_WORK, _HOME]
    assert _patched({"op": "add", "path": "emails", "value": [_WORK, _HOME]}, emails=[_WORK]) == {"emails": both}
    assert _patched({"op": "replace", "path": "emails", "value": _HOME}, emails=[_WORK]) == {"emails": [_HOME]}
    removals: tuple[dict[str, Any], ...] = (
        {"path": 'emails[type eq "HOME"]'},
        {"path": "emails", "value": [{"value": "a@home.example"}]},
    )
    for each in removals:
        assert _patched({"op": "remove", **each}, emails=both) == {"emails": [_WORK]}
    assert _patched({"op": "remove", "path": "emails"}, emails=both) == {}
    assert _patched({"op": "remove", "path": 'emails[type eq "other"]'}, emails=both) == {}


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ({"op": "remove"}, NoTarget),
        ({"op": "replace", "value": "text"}, InvalidValue),
        ({"op": "replace", "path": "id", "value": "x"}, ReadOnlyAttribute),
        ({"op": "replace", "path": "meta.version", "value": "x"}, ReadOnlyAttribute),
        ({"op": "replace", "path": "unknown", "value": "x"}, InvalidPath),
        ({"op": "replace", "path": "urn:example:1.0:User:title", "value": "x"}, InvalidPath),
        ({"op": "replace", "path": "name.unknown", "value": "x"}, InvalidPath),
        ({"op": "replace", "path": "emails.value", "value": "x"}, InvalidPath),
        ({"op": "replace", "path": 'title[type eq "x"]', "value": "x"}, InvalidPath),
        ({"op": "replace", "path": 'emails[unknown eq "x"]', "value": {}}, InvalidPath),
        ({"op": "replace", "path": "name", "value": "x"}, InvalidValue),
        ({"op": "add", "path": "emails", "value": ["x"]}, InvalidValue),
        ({"op": "replace", "path": "title", "value": {"a": 1}}, InvalidValue),
        ({"op": "replace", "path": "title", "value": "x" * 1_001}, InvalidValue),
        ({"op": "remove", "path": "userName"}, InvalidValue),
    ],
)
def test_what_cannot_be_done_is_refused(operation: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        _patched(operation)
