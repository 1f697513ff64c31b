"""The SQL of every shape of list, looked at without a database."""

from itertools import product

import pytest

from tenants.crud.filters import Operator, operators_of
from tenants.crud.repository import After, Shape, page_statement
from tenants.crud.sort import Sort
from tenants.resources.registry import load_registry
from tests.fixtures.everything import EVERYTHING

_THINGS = load_registry(EVERYTHING)["things"]
_SHAPES = [
    Shape((), searched, Sort(name, descending=descending), after)
    for name, descending, after, searched in product(_THINGS.sortable, (False, True), After, (False, True))
]
_FILTERED = [
    Shape(((field.name, operator),), False, Sort("id", descending=False), After.START)  # noqa: FBT003 - is searched
    for field in _THINGS.filterable.values()
    for operator in operators_of(field.kind)
]


def _sql(shape: Shape) -> str:
    return page_statement(_THINGS, shape).statement.sql.decode()


@pytest.mark.parametrize("shape", [*_SHAPES, *_FILTERED], ids=str)
def test_a_list_names_its_columns_and_holds_no_value(shape: Shape) -> None:
    """IS4: never SELECT *; and one statement serves all values, so that plans and caches stay few."""
    sql = _sql(shape)
    assert "*" not in sql
    assert "inner" not in sql
    assert "things.version" in sql
    assert "%" not in sql
    assert "'" not in sql


@pytest.mark.parametrize("shape", _SHAPES, ids=str)
def test_a_page_is_ranges_of_an_index(shape: Shape) -> None:
    """DA3: an OR, or an OFFSET, would read every row before the cursor again."""
    sql = _sql(shape).replace("ORDER", "")
    assert " OR " not in sql
    assert "OFFSET" not in sql


def test_a_filter_on_nothing_asks_for_null() -> None:
    """IS binds looser than = in PostgreSQL: without parentheses it would be another question."""
    shape = Shape((("label", Operator.IS_NULL),), False, Sort("id", descending=False), After.START)  # noqa: FBT003
    assert "(things.label IS NULL) = $2::BOOLEAN" in _sql(shape)
