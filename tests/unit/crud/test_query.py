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
    """What the gateway makes of parameters whose every comma separates."""
    return read_query(_THINGS, _TENANT, [(name, text.split(",")) for name, text in parameters], _CURSORS)


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


def test_a_parameter_with_one_value_is_given_once() -> None:
    """Two parsers would disagree which of two counts."""
    assert [fault.code for fault in _faults(("name", "a"), ("name", "b"))] == ["repeated"]
    assert len(_read(("large[gte]", "1"), ("large[lt]", "2")).listing.filters) == 2


def test_a_list_is_one_list_however_its_values_are_given() -> None:
    """RFC 6570 section 3.2.8: ``{?list}`` joins the values with commas, ``{?list*}`` repeats the name."""
    expected = (Filter("small", Operator.IN, (1, 2, 3)),)
    assert _read(("small[in]", "1,2,3")).listing.filters == expected
    assert _read(("small[in]", "1"), ("small[in]", "2"), ("small[in]", "3")).listing.filters == expected
    assert _read(("small[in]", "1,2"), ("small[in]", "3")).listing.filters == expected


def test_a_comma_inside_a_value_is_part_of_it() -> None:
    """The gateway splits before it decodes: what is still one part is one value."""
    parameters = [("name[in]", ["Ada, Ltd", "Bea"]), ("name", ["Ada", " Ltd"])]
    filters = read_query(_THINGS, _TENANT, parameters, _CURSORS).listing.filters
    assert [each.value for each in filters] == ["Ada, Ltd", ("Ada, Ltd", "Bea")]


@pytest.mark.parametrize("parts", [[["1"] * 100], [["1"]] * 100, [["1"] * 60, ["1"] * 40]])
def test_a_list_has_at_most_100_values(parts: list[list[str]]) -> None:
    """LD5: over all parameters that give them."""
    query = read_query(_THINGS, _TENANT, [("small[in]", each) for each in parts], _CURSORS)
    assert query.listing.filters == (Filter("small", Operator.IN, (1,) * 100),)
    with pytest.raises(ValidationFailed) as raised:
        read_query(_THINGS, _TENANT, [("small[in]", each) for each in [*parts, ["1"]]], _CURSORS)
    assert [(each.pointer, each.code) for each in raised.value.errors] == [("/query/small", "too_long")]


def test_search_is_no_parameter_where_nothing_is_searchable() -> None:
    """A search that can find nothing is an error, not an empty list."""
    (unsearchable,) = collections_of([replace(things, searchable=())])
    with pytest.raises(ValidationFailed) as raised:
        read_query(unsearchable, _TENANT, [("q", ["engine"])], _CURSORS)
    assert raised.value.errors[0].code == "unknown_parameter"


_TERMS = [
    (f"{name}[{operator}]", "true" if operator is Operator.IS_NULL else "1")
    for name in ("small", "large", "medium")
    for operator in (
        *(each for each in Operator if each not in (Operator.EQ, Operator.CONTAINS, Operator.STARTS_WITH)),
    )
]


def test_a_list_has_at_most_20_filters() -> None:
    """LD5: 20 are read, beside limit, sort and search; one more is refused before any is read."""
    others = [("limit", "5"), ("sort", "name"), ("q", "ada")]
    assert len(_read(*_TERMS[:20], *others).listing.filters) == 20
    faults = _faults(*_TERMS[:21], ("name", "\0"), *others)
    assert [(each.pointer, each.code, each.message) for each in faults] == [
        ("/query", "too_many", "At most 20 filters.")
    ]


def test_unknown_parameters_count_as_filters() -> None:
    """LD5: the list of errors has a bound too."""
    assert len(_faults(*[(f"f{number}", "x") for number in range(20)])) == 20
    assert [fault.code for fault in _faults(*[(f"f{number}", "x") for number in range(21)])] == ["too_many"]


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
