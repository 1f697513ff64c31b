"""`tenantry doctor` finds what is wrong with a deployment, and says what to do about it."""

from typing import Any, LiteralString

import psycopg
import pytest
import redis

from tests.fixtures.commands import Run, answer
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.servers import RedisFactory


def verdicts(shown: Any) -> dict[str, str]:
    return {each["name"]: each["verdict"] for each in shown["checks"]}


def told(shown: Any, name: str) -> str:
    return next(str(each["what"]) for each in shown["checks"] if each["name"] == name)


def test_a_sound_deployment_is_called_so(migrated: Run) -> None:
    shown = answer(migrated("doctor", "--json"))
    assert shown["healthy"]
    assert set(verdicts(shown).values()) <= {"good", "warning"}
    assert verdicts(shown)["stripe"] == "warning"
    assert "tenantry_gateway has no rights of its own" in migrated("doctor").stdout


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        ("GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO PUBLIC", "revoke set_config"),
        ("GRANT UPDATE ON pg_settings TO PUBLIC", "revoke pg_settings"),
        ("GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC", "revoke pg_notify"),
        ("GRANT SELECT ON pg_class TO PUBLIC", "revoke catalog"),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "revoke public schema"),
    ],
)
def test_a_right_that_public_must_not_have_is_found(
    migrated: Run, database_urls: DatabaseUrls, harm: LiteralString, name: str
) -> None:
    """IS1: where the server forbids the revoke, the doctor says so plainly."""
    with psycopg.connect(database_urls.superuser, autocommit=True) as connection:
        connection.execute(harm)
    shown = answer(migrated("doctor", "--json"), exit_code=1)
    assert [each for each, verdict in verdicts(shown).items() if verdict == "wrong"] == [name]
    assert "leave its tenant" in told(shown, name)


def test_a_login_role_with_too_many_rights_is_found(migrated: Run, database_urls: DatabaseUrls) -> None:
    shown = answer(migrated("doctor", "--json", TENANTRY_DATABASE_URL=database_urls.superuser), exit_code=1)
    assert "is a superuser" in told(shown, "login role")
    shown = answer(migrated("doctor", "--json", TENANTRY_DATABASE_URL=database_urls.owner), exit_code=1)
    assert "may create roles" in told(shown, "login role")


def test_a_database_before_its_migration_is_found(run: Run, empty_database_urls: DatabaseUrls) -> None:
    urls = {
        "TENANTRY_DATABASE_URL": empty_database_urls.gateway,
        "TENANTRY_OWNER_DATABASE_URL": empty_database_urls.owner,
    }
    shown = answer(run("doctor", "--json", **urls), exit_code=1)
    assert "run `tenantry migrate`" in told(shown, "control schema")


def test_an_older_control_schema_and_a_tenant_left_behind_are_found(migrated: Run, database_urls: DatabaseUrls) -> None:
    migrated("tenants", "create", "acme")
    with psycopg.connect(database_urls.owner, autocommit=True) as connection:
        connection.execute("UPDATE tenantry.alembic_version SET version_num = '0001'")
        connection.execute("UPDATE tenantry.tenant_migrations SET revisions = '{}'")
    shown = answer(migrated("doctor", "--json"), exit_code=1)
    assert "at 0001, and not at" in told(shown, "control schema")
    assert "behind: acme" in told(shown, "tenant schemas")


def test_a_database_and_a_redis_that_are_down_are_found(run: Run, start_redis: RedisFactory) -> None:
    server = start_redis()
    server.stop()
    down = {"TENANTRY_DATABASE_URL": "postgresql://nobody:hush@127.0.0.1:1/x", "TENANTRY_REDIS_URL": server.url}
    result = run("doctor", "--json", **down)
    found = verdicts(answer(result, exit_code=1))
    assert (found["database"], found["redis"]) == ("wrong", "wrong")
    assert "hush" not in result.output


def test_a_redis_that_may_forget_counters_is_a_warning(migrated: Run, start_redis: RedisFactory) -> None:
    server = start_redis()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    shown = answer(migrated("doctor", "--json", TENANTRY_REDIS_URL=server.url))
    assert "noeviction" in told(shown, "redis")
    without = answer(migrated("doctor", "--json", TENANTRY_REDIS_URL=None))
    assert "share of every limit" in told(without, "redis")


def test_a_redis_that_keeps_its_configuration_to_itself_is_no_broken_one(
    migrated: Run, start_redis: RedisFactory
) -> None:
    """As managed servers do."""
    server = start_redis()
    with redis.Redis.from_url(server.url) as client:
        client.acl_setuser("guest", enabled=True, passwords="+hush", categories=["+@all"], commands=["-config"])
    url = f"redis://guest:hush@{server.host}:{server.port}/0"
    shown = answer(migrated("doctor", "--json", TENANTRY_REDIS_URL=url))
    assert verdicts(shown)["redis"] == "warning"
    assert "may not be read" in told(shown, "redis")


def test_resources_that_cannot_be_served_are_found(migrated: Run) -> None:
    shown = answer(migrated("doctor", "--json", TENANTRY_RESOURCES="nowhere.to.be.found"), exit_code=1)
    assert "cannot be imported" in told(shown, "resources")
