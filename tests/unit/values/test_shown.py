"""Names cannot act on what shows them, and everything else is escaped before it is shown."""

import unicodedata
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from billing.plans.schemas import PlanSpec
from gateway.cli import output
from gateway.logs.redaction import redact
from tenants.api_keys.schemas import CreateApiKey
from tenants.onboarding.schemas import CreateTenant
from tenants.operator_keys.schemas import CreateOperatorKey
from tenants.sign_in.schemas import LoginRequest
from tenants.values.errors import BadValue
from tenants.values.shown import check_shown, escaped

_BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_CONTROLS = [chr(code) for code in (0x00, 0x07, 0x0A, 0x1B, 0x1F, 0x7F, 0x80, 0x85, 0x9B, 0x9F, 0x2028, 0x2029)]

_PLAN: dict[str, Any] = {"code": "gold", "windows": [{"name": "burst", "quota": 1, "window_seconds": 1}]}
_NAMES: dict[str, tuple[type[BaseModel], dict[str, Any], str]] = {
    "tenant": (CreateTenant, {"slug": "acme", "plan": "free"}, "name"),
    "owner's address": (CreateTenant, {"slug": "acme", "plan": "free", "name": "Acme"}, "owner_email"),
    "key": (CreateApiKey, {"role": "viewer"}, "name"),
    "operator key": (CreateOperatorKey, {"role": "admin"}, "name"),
    "plan": (PlanSpec, _PLAN, "name"),
    "address at sign-in": (LoginRequest, {"password": "x", "tenant": "acme"}, "email"),
    "tenant at sign-in": (LoginRequest, {"password": "x", "email": "ann@example.com"}, "tenant"),
}


@pytest.mark.parametrize("character", [*_CONTROLS, *_BIDIRECTIONAL], ids=lambda each: f"{ord(each):04x}")
@pytest.mark.parametrize("kind", _NAMES)
def test_no_name_has_a_control_character(kind: str, character: str) -> None:
    """DA1: C0, DEL, C1, line separators, and all of Unicode's Bidi_Control."""
    model, members, name = _NAMES[kind]
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(model).validate_python(members | {name: f"ann{character}@x.test"})
    assert {each["loc"] for each in raised.value.errors()} == {(name,)}


@pytest.mark.parametrize("name", ["Ann", "Müller & Söhne", "株式会社", "עברית", "می‌خواهم", "👩‍👧"])
def test_names_of_every_script_are_names(name: str) -> None:
    """Joiners (U+200C, U+200D) are part of Persian words and of emoji."""
    for kind in ("tenant", "key", "operator key", "plan"):
        model, members, field = _NAMES[kind]
        assert getattr(TypeAdapter(model).validate_python(members | {field: name}), field) == name


@given(st.text(st.characters(codec="utf-8")))
def test_an_escaped_text_can_be_shown_and_json_stays_the_same_document(text: str) -> None:
    """What is stored does not reach a terminal as it is."""
    assert check_shown(escaped(text)) == escaped(text)
    assert not any(unicodedata.category(each) == "Cc" for each in escaped(text))
    assert orjson.loads(escaped(orjson.dumps(text).decode())) == text


def test_what_is_kept_is_not_escaped() -> None:
    assert escaped("a\n\x9bb", keep="\n") == "a\n\\u009bb"
    with pytest.raises(BadValue):
        check_shown("a\u202eb")


def test_commands_escape_what_they_print(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that was stored before, or that Stripe sent, moves no cursor."""
    name = "a\x9b2J\u202e\x1b[2Jb"
    output.print_json({"name": name})
    output.print_fields({"name": name, "names": [name]})
    output.print_rows(["name"], [[name]])
    for as_json in (True, False):
        output.print_error(output.ErrorReport("x", name, (name,)), as_json=as_json)
    written = "".join(capsys.readouterr())
    assert written.count("\\u009b2J\\u202e") == 8
    assert not set(written) & {"\x9b", "\u202e", "\x1b"}


def test_logs_escape_what_they_write() -> None:
    """Lines of a traceback stay; nothing else acts on the terminal that shows the log."""
    assert redact({"name\x9b": ["a\x9bb", b"c\x1bd"], "trace": "one\n\ttwo"}) == {
        "name\\u009b": ["a\\u009bb", "c\\u001bd"],
        "trace": "one\n\ttwo",
    }
