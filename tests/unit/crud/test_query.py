"""The parameters of a list: typed, listed, and every error in them reported at once."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.crud.filters import Filter, Operator, escape_like, operators_of
from tenants.crud.pages import Cursors
from tenants.crud.query import DEFAULT_LIMIT, Query, read_query
from tenants.errors import FieldError, ValidationFailed
from tenants.identifiers import TenantId, show
from tenants.resources.collection import collections_of
from tenants.resources.registry import load_registry
from tests.fixtures.everything import EVERYTHING, things

_THINGS = load_registry(EVERYTHING)["things"]
_TENANT = TenantId(UUID(int=1))
_CURSORS = Cursors(bytes(32))
_ID = UUID(int=2)


def _read(*parameters: tuple[str, str]) -> Query:
    return read_query(_THINGS, _TENANT, parameters, _CURSORS)


def _faults(*parameters: tuple[str, str]) -> tuple[FieldError, ...]:
    with pytest.raises(ValidationFailed) as raised:
        _read(*parameters)
    return raised.value.errors


def test_without_parameters_a_list_is_the_newest_first() -> None:
    """docs/api.md: 25 rows, by -created_at."""
    query = _read()
    assert (query.limit, str(query.listing.sort), query.after) == (DEFAULT_LIMIT, "-created_at", None)
    assert (query.listing.filters, query.listing.search) == ((), ())


@pytest.mark.parametrize(
    ("parameter", "text", "expected"),
    [
        ("name", "Ada", ("name", Operator.EQ, "Ada")),
        ("name", "", ("name", Operator.EQ, "")),
        ("name[ne]", "Ada", ("name", Operator.NE, "Ada")),
        ("name[contains]", "50%_\\", ("name", Operator.CONTAINS, "%50\\%\\_\\\\%")),
        ("name[starts_with]", "50%", ("name", Operator.STARTS_WITH, "50\\%%")),
        ("large[gte]", "-5", ("large", Operator.GTE, -5)),
        ("small[in]", "1,2,-3", ("small", Operator.IN, (1, 2, -3))),
        ("price[lt]", "9.99", ("price", Operator.LT, Decimal("9.99"))),
        ("price", "5000", ("price", Operator.EQ, Decimal(5000))),  # the rule binds writers, not readers
        ("active", "true", ("active", Operator.EQ, True)),
        ("seen[gt]", "2026-01-01T00:00:00Z", ("seen", Operator.GT, datetime(2026, 1, 1, tzinfo=UTC))),
        ("colour[in]", "red,green", ("colour", Operator.IN, ("red", "green"))),
        ("label[is_null]", "false", ("label", Operator.IS_NULL, False)),
        ("parent_id", show("thing", _ID), ("parent_id", Operator.EQ, _ID)),
        ("id[in]", show("thing", _ID), ("id", Operator.IN, (_ID,))),
    ],
)
def test_a_filter_is_read_as_its_column_is_typed(parameter: str, text: str, expected: tuple[Any, ...]) -> None:
    """docs/api.md: field=value and field[op]=value."""
    assert _read((parameter, text)).listing.filters == (Filter(*expected),)


@pytest.mark.parametrize(
    ("parameter", "text", "pointer", "code"),
    [
        ("inner", "x", "/query/inner", "unknown_parameter"),  # hidden
        ("version", "1", "/query/version", "unknown_parameter"),
        ("nothing", "x", "/query/nothing", "unknown_parameter"),
        ("Name", "x", "/query", "unknown_parameter"),
        ("tn_live_SECRET", "x", "/query", "unknown_parameter"),
        ("", "", "/query", "unknown_parameter"),
        ("name[eq]", "x", "/query/name", "unknown_operator"),
        ("name[]", "x", "/query/name", "unknown_operator"),
        ("name[regex]", "x", "/query/name", "unknown_operator"),
        ("name[gt][lt]", "x", "/query", "unknown_parameter"),
        ("name]", "x", "/query", "unknown_parameter"),
        ("active[gt]", "true", "/query/active", "unknown_operator"),
        ("colour[contains]", "r", "/query/colour", "unknown_operator"),
        ("id[gt]", "x", "/query/id", "unknown_operator"),
        ("large[contains]", "1", "/query/large", "unknown_operator"),
        ("large", "x", "/query/large", "wrong_type"),
        ("large[in]", "1,", "/query/large", "wrong_type"),
        ("small[in]", ",".join(["1"] * 101), "/query/small", "too_long"),
        ("label[is_null]", "yes", "/query/label", "wrong_type"),
        ("label[contains]", "\0", "/query/label", "bad_character"),
        ("limit", "0", "/query/limit", "out_of_range"),
        ("limit", "101", "/query/limit", "out_of_range"),
        ("limit", "-1", "/query/limit", "out_of_range"),
        ("limit", "1.5", "/query/limit", "out_of_range"),
        ("limit", "9" * 400, "/query/limit", "out_of_range"),
        ("sort", "label", "/query/sort", "unknown_sort"),
        ("sort", "inner", "/query/sort", "unknown_sort"),
        ("sort", "--name", "/query/sort", "unknown_sort"),
        ("sort", "name,created_at", "/query/sort", "unknown_sort"),
        ("sort", "", "/query/sort", "unknown_sort"),
        ("q", "a", "/query/q", "too_short"),
        ("q", "   ", "/query/q", "too_short"),
        ("q", "a" * 101, "/query/q", "too_long"),
        ("q", "a b c d e f g h i", "/query/q", "too_long"),
        ("q", "ab\0", "/query/q", "bad_character"),
        ("cursor", "", "/query/cursor", "bad_cursor"),
        ("cursor", "!!!", "/query/cursor", "bad_cursor"),
        ("cursor", "é", "/query/cursor", "bad_cursor"),
    ],
)
def test_what_is_not_listed_is_refused_at_its_parameter(parameter: str, text: str, pointer: str, code: str) -> None:
    """IS6: filter, sort and search take listed columns and operators only."""
    (fault,) = _faults((parameter, text))
    assert (fault.pointer, fault.code) == (pointer, code)


def test_every_fault_is_reported_at_once() -> None:
    """A caller fixes its request in one go; the cursor is read only when the rest is right."""
    faults = _faults(("nothing", "x"), ("limit", "0"), ("sort", "x"), ("q", ""), ("large", "x"), ("cursor", "x"))
    assert [fault.pointer for fault in faults] == [
        *("/query/large", "/query/nothing", "/query/limit", "/query/sort", "/query/q"),
    ]


def test_a_parameter_is_given_once() -> None:
    """Two parsers would disagree which of two counts."""
    assert [fault.code for fault in _faults(("name", "a"), ("name", "b"))] == ["repeated"]
    assert len(_read(("large[gte]", "1"), ("large[lt]", "2")).listing.filters) == 2


def test_search_is_no_parameter_where_nothing_is_searchable() -> None:
    """A search that can find nothing is an error, not an empty list."""
    (unsearchable,) = collections_of([replace(things, searchable=())])
    with pytest.raises(ValidationFailed) as raised:
        read_query(unsearchable, _TENANT, [("q", "engine")], _CURSORS)
    assert raised.value.errors[0].code == "unknown_parameter"


def test_a_query_has_a_bound() -> None:
    """A query of thousands of parameters is refused before any is read."""
    assert [fault.pointer for fault in _faults(*[(f"f{number}", "x") for number in range(41)])] == ["/query"]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_no_query_breaks_the_reader(parameters: list[tuple[str, str]]) -> None:
    """DA1: any query is read, or refused as validation_failed."""
    try:
        _read(*parameters)
    except ValidationFailed as error:
        assert error.errors  # noqa: PT017 - either outcome is right


@given(st.permutations([("large[gte]", "1"), ("large[lt]", "9"), ("name", "x"), ("active[ne]", "true")]))
def test_the_order_of_parameters_changes_nothing(parameters: list[tuple[str, str]]) -> None:
    """One statement and one cursor for one list, in any order of its parameters."""
    assert _read(*parameters).listing.filters == _read(*sorted(parameters)).listing.filters


@given(st.text(st.sampled_from("ab%_\\")))
def test_an_escaped_text_means_only_itself(text: str) -> None:
    """LIKE reads a backslash and what follows as that character alone (PostgreSQL manual, 9.7.1)."""
    escaped, plain = iter(escape_like(text)), []
    for character in escaped:
        assert character not in "%_"
        plain.append(next(escaped) if character == "\\" else character)
    assert "".join(plain) == text


def test_every_kind_of_field_has_operators() -> None:
    """A new kind of column cannot be forgotten."""
    for field in _THINGS.fields:
        assert Operator.EQ in operators_of(field.kind)
