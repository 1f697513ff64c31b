"""Nested form encoding, as the SDKs and curl write it."""

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
def test_what_does_not_nest_is_refused(text: str) -> None:
    with pytest.raises(StripeError):
        parse_form(text)


def test_a_flood_of_fields_is_refused() -> None:
    with pytest.raises(StripeError):
        parse_form("&".join(f"a{number}=1" for number in range(1001)))
