"""What every test that touches a database stands on: a database of its own, set up as in production."""

import psycopg
import pytest

from tests.fixtures.databases import DatabaseFactory, DatabaseUrls


def test_two_databases_of_one_test_share_nothing(make_database: DatabaseFactory) -> None:
    first, second = make_database(), make_database()
    with psycopg.connect(first.owner) as owner:
        owner.execute(
            "INSERT INTO tenantry.plans (code, name, rank, windows, features) VALUES ('x', 'X', 9, '[]', '{}')"
        )
    with psycopg.connect(second.owner) as owner:
        assert owner.execute("SELECT count(*) FROM tenantry.plans WHERE code = 'x'").fetchone() == (0,)


def test_a_copied_database_lets_in_only_our_roles(database_urls: DatabaseUrls) -> None:
    with psycopg.connect(database_urls.superuser) as superuser:
        query = "SELECT has_database_privilege('public', %s, 'CONNECT'), pg_get_userbyid(datdba)"
        row = superuser.execute(f"{query} FROM pg_database WHERE datname = %s", [database_urls.name] * 2).fetchone()
    assert row == (False, "tenantry_owner")


def test_a_copied_database_keeps_its_revokes(database_urls: DatabaseUrls) -> None:
    with psycopg.connect(database_urls.superuser) as superuser:
        row = superuser.execute(
            "SELECT has_function_privilege('public', 'set_config(text, text, boolean)', 'EXECUTE'),"
            " has_table_privilege('public', 'pg_settings', 'UPDATE')"
        ).fetchone()
    assert row == (False, False)


def test_an_empty_database_has_no_schema_of_ours(empty_database_urls: DatabaseUrls) -> None:
    with psycopg.connect(empty_database_urls.owner) as owner:
        assert owner.execute("SELECT to_regnamespace('tenantry')").fetchone() == (None,)


@pytest.mark.parametrize("number", [1, 2])
def test_databases_end_with_their_tests(database_urls: DatabaseUrls, number: int) -> None:
    with psycopg.connect(database_urls.maintenance) as superuser:
        rows = superuser.execute("SELECT datname FROM pg_database WHERE datname LIKE 'test_%'").fetchall()
    assert rows == [(database_urls.name,)], number
