"""The models of bodies: made from the columns, closed, strict, and limited to what the columns can store."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from examples.crm.contacts import contacts
from gateway.data.models import Models, longest_body, models_of, sent_values
from gateway.problems.validation import validation_failed
from tenants.errors import ValidationFailed
from tenants.identifiers import show
from tenants.resources.collection import collections_of
from tenants.resources.errors import DeclarationError
from tenants.resources.fields import Rule
from tenants.resources.registry import load_registry
from tests.fixtures.everything import EVERYTHING

_THINGS = models_of(load_registry(EVERYTHING)["things"])
_CONTACTS = models_of(load_registry("examples.crm.resources")["contacts"])
_PARENT = UUID(int=1)
_EMOJI = "\\ud83d\\ude00"  # one character in twelve bytes
_LONGEST_TEXTS = {"name": 200, "company": 200, "notes": 10_000}


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


def test_the_bound_of_a_body_follows_from_the_columns() -> None:
    """LD1, DA2: whatever the models accept fits, however a client escapes its texts and indents its document."""
    registry = load_registry("examples.crm.resources")
    texts = ", ".join(f'"{name}": "{_EMOJI * length}"' for name, length in _LONGEST_TEXTS.items())
    body = f'{{\n    {texts},\n    "stage": "qualified",\n    "value_cents": {2**63 - 1}\n}}\n'
    assert len(sent_values(_CONTACTS.create.model_validate_json(body))) == len(_LONGEST_TEXTS) + 2
    assert len(body) <= longest_body(registry["contacts"]) <= len(body) + 12 * 254 + 6 * 512
    assert longest_body(registry["deals"]) < 8_192
    assert longest_body(load_registry(EVERYTHING)["things"]) > 1_048_576, "a text without a length"


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


@pytest.mark.parametrize("models", [_CONTACTS, _THINGS], ids=["contacts", "things"])
def test_examples_are_valid(models: Models) -> None:
    """The examples of the document can be sent, given by a rule or not: for every kind of field."""
    properties = models.create.model_json_schema()["properties"]
    examples = {name: shown["examples"][0] for name, shown in properties.items()}
    assert models.create.model_validate(examples).model_fields_set == examples.keys()


def _with_rules(**rules: Rule) -> Models:
    """The models of the example's contacts with other rules."""
    (collection,) = collections_of((replace(contacts, rules=rules),))
    return models_of(collection)


def test_an_example_that_the_field_refuses_stops_the_start() -> None:
    """It would be copied from the document, and answered with 422."""
    faults = r"rule of 'email': the field refuses its example.*\n.*rule of 'value_cents'"
    with pytest.raises(DeclarationError, match=faults):
        _with_rules(email=Rule(pattern="^[a-z]+@x$", example="ada"), value_cents=Rule(minimum=5, example=4))


def test_an_example_keeps_to_the_rule() -> None:
    """Bounds shift it; of a pattern none is made up."""
    models = _with_rules(
        name=Rule(min_length=12),
        email=Rule(pattern="^[a-z]+@x$"),
        value_cents=Rule(minimum=5),
        company=Rule(example="Ä"),
    )
    properties = models.create.model_json_schema()["properties"]
    assert properties["name"]["examples"] == ["Example....."]
    assert "examples" not in properties["email"]
    assert properties["value_cents"]["examples"] == [5]
    assert properties["company"]["examples"] == ["Ä"]
    assert _THINGS.create.model_json_schema()["properties"]["price"]["examples"] == ["1"]


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
