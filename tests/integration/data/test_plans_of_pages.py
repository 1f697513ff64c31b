"""A page costs the same at the end of a list as at its start: PostgreSQL reads ranges of an index in every order."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product

import psycopg
import pytest
from psycopg import sql

from tenants.crud.repository import After, Shape, page_statement
from tenants.crud.sort import Sort
from tenants.resources.registry import load_registry
from tests.fixtures.databases import copy_database
from tests.fixtures.gateways import Template

_CRM = load_registry("examples.crm.resources")
_CASES = [
    (collection.name, Sort(name, descending=descending), after)
    for collection in _CRM.collections
    for name, descending, after in product(collection.sortable, (False, True), After)
    if after is not After.NULL or collection.sortable[name].nullable
]
_FILL = """
INSERT INTO contacts (id, name, company, value_cents, created_at, updated_at)
    SELECT gen_random_uuid(), 'n' || n, CASE WHEN n % 5 > 0 THEN 'c' || n % 50 END, n % 100,
        now() - n * interval '1 minute', now() - n * interval '1 minute' FROM generate_series(1, 4000) n;
INSERT INTO deals (id, title, amount_cents, closes_on, created_at, updated_at)
    SELECT gen_random_uuid(), 'n' || n, n % 100, CASE WHEN n % 5 > 0 THEN date '2026-01-01' + n % 50 END,
        now() - n * interval '1 minute', now() - n * interval '1 minute' FROM generate_series(1, 4000) n;
ANALYZE contacts, deals;
"""


@pytest.fixture(scope="module")
def filled(gateway_template: Template) -> Iterator[psycopg.Connection]:
    """A connection to a tenant's schema with 4,000 contacts and 4,000 deals, a fifth of them without some values."""
    with ExitStack() as stack:
        urls = copy_database(gateway_template.urls, stack)
        connection = stack.enter_context(psycopg.connect(urls.owner, autocommit=True))
        connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(gateway_template.acme.ref.schema)))
        connection.execute(_FILL.encode())
        yield connection


@pytest.mark.parametrize(("resource", "sort", "after"), _CASES, ids=str)
def test_a_page_reads_the_index_from_the_cursor_on(
    filled: psycopg.Connection, resource: str, sort: Sort, after: After
) -> None:
    """DA3: at most the page's own rows of each of two ranges, in 4,000."""
    with _explained(filled, resource, Shape((), False, sort, after)) as plan:  # noqa: FBT003 - is searched
        assert "Seq Scan" not in plan, plan
        assert "Filter:" not in plan, plan
        assert "Index" in plan, plan


@contextmanager
def _explained(connection: psycopg.Connection, resource: str, shape: Shape) -> Iterator[str]:
    collection = _CRM[resource]
    prepared = page_statement(collection, shape)
    place = connection.execute(
        sql.SQL(
            "SELECT {0}::text, id::text FROM {1} WHERE {0} IS NOT NULL ORDER BY {0}, id OFFSET 2000 LIMIT 1"
        ).format(sql.Identifier(shape.sort.field), sql.Identifier(resource))
    ).fetchone()
    assert place is not None
    values = {"after_value": place[0], "after_id": place[1], "rows": "26"}
    given = sql.SQL(", ").join(sql.Literal(values[name]) for name in prepared.parameters)
    connection.execute(b"PREPARE page AS " + prepared.statement.sql)
    try:
        execute = (
            sql.SQL("EXPLAIN EXECUTE page ({})").format(given)
            if prepared.parameters
            else sql.SQL("EXPLAIN EXECUTE page")
        )
        yield "\n".join(row[0] for row in connection.execute(execute))
    finally:
        connection.execute("DEALLOCATE page")
