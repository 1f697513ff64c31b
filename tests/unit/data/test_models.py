"""The models of bodies: made from the columns, closed, strict, and limited to what the columns can store."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from gateway.data.models import models_of, sent_values
from gateway.problems.validation import validation_failed
from tenants.errors import ValidationFailed
from tenants.identifiers import show
from tenants.resources.registry import load_registry
from tests.fixtures.everything import EVERYTHING

_THINGS = models_of(load_registry(EVERYTHING)["things"])
_CONTACTS = models_of(load_registry("examples.crm.resources")["contacts"])
_PARENT = UUID(int=1)


def _faults(body: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as raised:
        _THINGS.create.model_validate(body)
    failed = validation_failed([{**each, "loc": ("body", *each["loc"])} for each in raised.value.errors()])
    assert isinstance(failed, ValidationFailed)
    return [(error.pointer, error.code) for error in failed.errors]


def test_every_kind_of_value_is_read_as_it_was_sent() -> None:
    """Types that JSON lacks have one spelling as text."""
    sent = {
        "name": "Ada",
        "small": -(2**15),
        "medium": 2**31 - 1,
        "large": -(2**63),
        "rank": 3.0,
        "price": "999.99",
        "active": False,
        "born": "0001-01-01",
        "seen": "9999-12-31T23:59:59.999999Z",
        "colour": "red",
        "parent_id": show("thing", _PARENT),
    }
    assert sent_values(_THINGS.create.model_validate(sent)) == sent | {
        "price": Decimal("999.99"),
        "born": date(1, 1, 1),
        "seen": datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC),
        "parent_id": _PARENT,
    }


def test_fields_that_are_left_out_are_not_sent() -> None:
    """A PATCH changes the fields sent; null is a value, absence is not."""
    assert sent_values(_THINGS.update.model_validate({})) == {}
    assert sent_values(_THINGS.update.model_validate({"label": None})) == {"label": None}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": None}, ("/name", "wrong_type")),
        ({"name": 1}, ("/name", "wrong_type")),
        ({"name": "12345678901"}, ("/name", "too_long")),
        ({"name": "a\0"}, ("/name", "bad_character")),
        ({"small": 2**15}, ("/small", "too_large")),
        ({"small": -(2**15) - 1}, ("/small", "too_small")),
        ({"medium": 2**31}, ("/medium", "too_large")),
        ({"large": 2**63}, ("/large", "too_large")),
        ({"large": 1.5}, ("/large", "wrong_type")),
        ({"large": 2.0**53}, ("/large", "too_large")),  # 9007199254740993.0 is the same double
        ({"large": True}, ("/large", "wrong_type")),
        ({"large": "1"}, ("/large", "wrong_type")),
        ({"price": 1.5}, ("/price", "wrong_type")),
        ({"price": "1000.01"}, ("/price", "too_large")),
        ({"price": "1.001"}, ("/price", "bad_format")),
        ({"active": 1}, ("/active", "wrong_type")),
        ({"active": "true"}, ("/active", "wrong_type")),
        ({"born": 0}, ("/born", "wrong_type")),
        ({"born": "2026-02-30"}, ("/born", "bad_format")),
        ({"seen": 0}, ("/seen", "wrong_type")),
        ({"seen": "2026-01-01T00:00:00"}, ("/seen", "bad_format")),
        ({"colour": "blue"}, ("/colour", "not_allowed")),
        ({"colour": None}, ("/colour", "not_allowed")),
        ({"rank": 11}, ("/rank", "too_large")),
        ({"parent_id": str(_PARENT)}, ("/parent_id", "bad_format")),
        ({"parent_id": show("contact", _PARENT)}, ("/parent_id", "bad_format")),
        ({"nothing": 1}, ("/nothing", "unknown_field")),
        ({"id": show("thing", _PARENT)}, ("/id", "unknown_field")),
        ({"created_at": "2026-01-01T00:00:00Z"}, ("/created_at", "unknown_field")),
        ({"version": 1}, ("/version", "unknown_field")),
        ({"status": "x"}, ("/status", "unknown_field")),
        ({"inner": "x"}, ("/inner", "unknown_field")),
    ],
)
def test_a_value_that_the_column_cannot_store_is_refused_with_a_pointer(
    change: dict[str, Any], fault: tuple[str, str]
) -> None:
    """AZ7, DA1: so are unknown fields, read-only fields and numbers beyond the column."""
    assert _faults({"name": "Ada"} | change) == [fault]


def test_a_required_field_is_required_only_at_creation() -> None:
    """Fields without a default that are not nullable."""
    assert _faults({}) == [("/name", "missing")]
    assert sent_values(_THINGS.update.model_validate({"rank": 2})) == {"rank": 2}


@pytest.mark.parametrize("body", [[], "x", 1, None])
def test_a_body_is_an_object(body: Any) -> None:
    """Any other document is refused as a whole."""
    assert _faults(body) == [("", "wrong_type")]


@pytest.mark.parametrize(
    "email", ["ada", "ada@", "@example.com", "ada@example", "a b@example.com", "ada@example..com", ""]
)
def test_an_implausible_address_is_refused(email: str) -> None:
    """A pattern of the example on a column."""
    with pytest.raises(ValidationError):
        _CONTACTS.create.model_validate({"name": "Ada", "email": email})


def test_examples_are_valid() -> None:
    """The examples of the document can be sent."""
    schema = _CONTACTS.create.model_json_schema()
    examples = {name: shown["examples"][0] for name, shown in schema["properties"].items()}
    assert sent_values(_CONTACTS.create.model_validate(examples)) == examples


def test_the_schema_has_the_rules() -> None:
    """Types, bounds, choices, formats, and no other fields."""
    schema = _THINGS.create.model_json_schema()
    shown = schema["properties"]
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["name"]
    assert (shown["name"]["maxLength"], shown["rank"]["maximum"]) == (10, 10)
    assert shown["colour"]["enum"] == ["red", "green"]
    assert shown["born"]["anyOf"][0] == {"type": "string", "format": "date"}
    wide = {"type": "integer", "format": "int64", "minimum": -(2**63), "exclusiveMaximum": 2**63}
    assert shown["large"]["anyOf"] == [wide, {"type": "null"}]
    assert "inner" not in _THINGS.response.model_json_schema()["properties"]
