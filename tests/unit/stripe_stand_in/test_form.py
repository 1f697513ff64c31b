"""Nested form encoding, as sent by the SDKs and curl."""

import pytest

from gateway.development.stripe.errors import StripeError
from gateway.development.stripe.form import parse_form


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a[0][b]=1&a[1][b]=2", {"a": {"0": {"b": "1"}, "1": {"b": "2"}}}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[][b]=1&a[][c]=2&a[][b]=3", {"a": [{"b": "1", "c": "2"}, {"b": "3"}]}),
        ("a%5Bb%5D=x%20y%26z", {"a": {"b": "x y&z"}}),
    ],
)
def test_brackets_nest(text: str, parsed: dict[str, object]) -> None:
    assert parse_form(text) == parsed


@pytest.mark.parametrize(
    "text", ["a[b=1", "a]=1", "[a]=1", "a[b]c=1", "a=1&a[b]=2", "a[]=1&a[b]=2", "a[b][c][d][e][f][g]=1"]
)
def test_invalid_names_are_rejected(text: str) -> None:
    with pytest.raises(StripeError):
        parse_form(text)


def test_too_many_fields_are_rejected() -> None:
    with pytest.raises(StripeError):
        parse_form("&".join(f"a{number}=1" for number in range(1001)))
