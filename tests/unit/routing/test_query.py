"""The query of a request as names and values: split first, decoded then."""

import pytest
from starlette.types import Scope

from gateway.routing.query import query_of, split_query
from tenants.errors import ValidationFailed


def _scope(query: bytes) -> Scope:
    return {"query_string": query}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", []),
        (b"a=1", [("a", ("1",))]),
        (b"a[in]=x,y", [("a[in]", ("x", "y"))]),
        (b"a%5Bin%5D=x%2Cy,z+w", [("a[in]", ("x,y", "z w"))]),
        (b"a[in]=x&a[in]=y%2cz", [("a[in]", ("x",)), ("a[in]", ("y,z",))]),
        (b"a[in]=,", [("a[in]", ("", ""))]),
        (b"a=&b&&c=d=e", [("a", ("",)), ("b", ("",)), ("c", ("d=e",))]),
        (b"a%3D=1%26b=2", [("a=", ("1&b=2",))]),
        ("a=é,%C3%A9".encode(), [("a", ("é", "é"))]),
    ],
)
def test_a_value_is_split_at_its_commas_before_it_is_decoded(
    query: bytes, expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    """RFC 6570 section 3.2.8: an encoded comma is part of a value, and a plain one separates two."""
    assert split_query(_scope(query)) == expected
    assert query_of(_scope(query)) == [(name, ",".join(parts)) for name, parts in expected]


@pytest.mark.parametrize("query", [b"a=%FF", b"\xff=1", b"a=x,%C3", b"&" * 200, b"a&" * 200])
def test_a_query_that_cannot_be_read_is_refused(query: bytes) -> None:
    """DA1: what is not UTF-8, and more than 200 parameters."""
    with pytest.raises(ValidationFailed) as raised:
        split_query(_scope(query))
    assert [(each.pointer, each.code) for each in raised.value.errors] == [("/query", "bad_format")]


def test_a_query_of_200_parameters_is_read() -> None:
    """Two lists of a hundred values, each value in a parameter of its own."""
    assert len(split_query(_scope(b"&".join([b"a[in]=1"] * 200)))) == 200
