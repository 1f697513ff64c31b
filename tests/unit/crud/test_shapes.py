"""A caller chooses the shape of a request: which filters, which fields. What is kept of each is little."""

import gc
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import combinations
from random import Random
from typing import cast
from uuid import UUID

import pytest

from tenants.audit.origin import Origin
from tenants.crud import repository
from tenants.crud.filters import operators_of
from tenants.crud.query import MAX_FILTERS
from tenants.crud.repository import After, Shape, page_statement
from tenants.crud.sort import Sort
from tenants.database.sessions import TenantSession, TenantWork
from tenants.database.statements import Prepared, Row
from tenants.identifiers import TenantId
from tenants.principal import Actor, ActorKind, TenantRef, TenantStatus
from tenants.resources.registry import load_registry
from tests.fixtures.everything import EVERYTHING

pytestmark = pytest.mark.anyio

_THINGS = load_registry(EVERYTHING)["things"]
_TERMS = [(field.name, operator) for field in _THINGS.filterable.values() for operator in operators_of(field.kind)]
_SORTS = [Sort(name, descending=descending) for name in _THINGS.sortable for descending in (False, True)]
_SHAPES = 3_000
_MOST_OBJECTS = 20_000  # that the collector visits; an expression alone has 250 for 20 filters


def _shape(choice: Random) -> Shape:
    terms = choice.sample(_TERMS, choice.randrange(1, MAX_FILTERS + 1))
    return Shape(tuple(sorted(terms)), choice.random() < 0.5, choice.choice(_SORTS), choice.choice(list(After)))


def test_lists_of_ever_new_shapes_leave_few_objects() -> None:
    """LD4: a thousand cached shapes were 270,000 objects, which each full collection visited for 0.3 s."""
    choice = Random(1)  # noqa: S311 - the same shapes each time
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(_SHAPES):
        page_statement(_THINGS, _shape(choice))
    gc.collect()
    assert len(gc.get_objects()) - before < _MOST_OBJECTS


def test_a_statement_has_a_placeholder_for_each_of_its_values() -> None:
    """IS6: whatever the shape, each value is a parameter, and is in its own place."""
    choice = Random(2)  # noqa: S311
    for _ in range(200):
        shape = _shape(choice)
        prepared = page_statement(_THINGS, shape)
        sql = prepared.statement.sql.decode()
        for number, name in enumerate(prepared.parameters, 1):
            assert f"${number}::" in sql, (name, sql)
        assert f"${len(prepared.parameters) + 1}" not in sql
        assert [name for name in prepared.parameters if name.startswith("filter_")] == [
            f"filter_{number}" for number in range(len(shape.filters))
        ]


class _Work:
    """Notes the statements of changes, and finds no row."""

    def __init__(self) -> None:
        self.tenant = TenantRef(TenantId(UUID(int=1)), "acme", TenantStatus.ACTIVE, "t_1", "t_1", "free")
        self.written: dict[bytes, Prepared] = {}

    async def write(self, prepared: Prepared, given: dict[str, object], _control: Sequence[object]) -> list[Row]:
        prepared.call(given)  # raises KeyError for a value that is missing
        self.written[prepared.statement.name] = prepared
        return []

    rows: Callable[..., object]
    session: Callable[[], AbstractAsyncContextManager[TenantSession]]


async def _change(work: _Work, names: Iterable[str]) -> None:
    origin = Origin(Actor(ActorKind.API_KEY, UUID(int=3)))
    await repository.change(cast("TenantWork", work), _THINGS, UUID(int=2), dict.fromkeys(names), None, origin=origin)


async def test_every_set_of_changed_fields_is_one_statement() -> None:
    """LD4: n fields that can be left out would be 2^n statements."""
    work, names = _Work(), [field.name for field in _THINGS.writable]
    for count in (1, 2, len(names)):
        for changed in combinations(names, count):
            await _change(work, changed)
    assert len(work.written) == 1


async def test_code_of_the_saas_changes_any_column() -> None:
    """Also one that the API does not write; its statement is another one."""
    work = _Work()
    await _change(work, ["name", "status", "inner"])
    (statement,) = work.written.values()
    assert {"value_name", "value_status", "value_inner"} <= set(statement.parameters)
