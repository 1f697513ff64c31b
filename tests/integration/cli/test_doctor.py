"""`tenantry doctor` finds what is wrong with a deployment, and says what to do."""

from typing import Any, LiteralString

import psycopg
import pytest
import redis

from tests.fixtures.commands import Run, answer
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.servers import RedisFactory


def verdicts(report: Any) -> dict[str, str]:
    return {each["name"]: each["verdict"] for each in report["checks"]}


def detail(report: Any, name: str) -> str:
    return next(str(each["what"]) for each in report["checks"] if each["name"] == name)


def test_a_correct_deployment_is_healthy(migrated: Run) -> None:
    report = answer(migrated("doctor", "--json"))
    assert report["healthy"]
    assert set(verdicts(report).values()) <= {"good", "warning"}
    assert verdicts(report)["stripe"] == "warning"
    assert "tenantry_gateway has no rights of its own" in migrated("doctor").stdout


def test_workers_and_their_last_confirmation_are_shown(migrated: Run, database_urls: DatabaseUrls) -> None:
    """ID14: one that was killed is named; the next change removes it."""
    assert detail(answer(migrated("doctor", "--json")), "workers") == "none is running"
    row = (
        "INSERT INTO tenantry.gateway_workers (id, host, pid, beat, seen, confirmed_at)"
        " VALUES (gen_random_uuid(), %s, 7, 1, 1, now() - %s::interval)"
    )
    with psycopg.connect(database_urls.superuser, autocommit=True) as connection:
        connection.execute(row, ("here", "1 second"))
        report = answer(migrated("doctor", "--json"))
        assert verdicts(report)["workers"] == "good"
        assert detail(report, "workers").startswith("1 running; oldest confirmation")
        connection.execute(row, ("there", "20 seconds"))
    report = answer(migrated("doctor", "--json"))
    assert verdicts(report)["workers"] == "warning"
    assert detail(report, "workers").startswith("2 running; there/7 has sent no heartbeat for")


@pytest.mark.parametrize(
    ("grant", "name"),
    [
        ("GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO PUBLIC", "revoke set_config"),
        ("GRANT UPDATE ON pg_settings TO PUBLIC", "revoke pg_settings"),
        ("GRANT EXECUTE ON FUNCTION pg_notify(text, text) TO PUBLIC", "revoke pg_notify"),
        ("GRANT SELECT ON pg_class TO PUBLIC", "revoke catalog"),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "revoke public schema"),
    ],
)
def test_a_right_that_public_must_not_have_is_found(
    migrated: Run, database_urls: DatabaseUrls, grant: LiteralString, name: str
) -> None:
    """IS1: a server that forbids the revoke is reported."""
    with psycopg.connect(database_urls.superuser, autocommit=True) as connection:
        connection.execute(grant)
    report = answer(migrated("doctor", "--json"), exit_code=1)
    assert [each for each, verdict in verdicts(report).items() if verdict == "wrong"] == [name]
    assert "leave its tenant" in detail(report, name)


def test_a_login_role_with_too_many_rights_is_found(migrated: Run, database_urls: DatabaseUrls) -> None:
    report = answer(migrated("doctor", "--json", TENANTRY_DATABASE_URL=database_urls.superuser), exit_code=1)
    assert "is a superuser" in detail(report, "login role")
    report = answer(migrated("doctor", "--json", TENANTRY_DATABASE_URL=database_urls.owner), exit_code=1)
    assert "may create roles" in detail(report, "login role")


def test_a_database_before_its_migration_is_found(run: Run, empty_database_urls: DatabaseUrls) -> None:
    urls = {
        "TENANTRY_DATABASE_URL": empty_database_urls.gateway,
        "TENANTRY_OWNER_DATABASE_URL": empty_database_urls.owner,
    }
    report = answer(run("doctor", "--json", **urls), exit_code=1)
    assert "run `tenantry migrate`" in detail(report, "control schema")


def test_an_older_control_schema_and_a_tenant_that_is_behind_are_found(
    migrated: Run, database_urls: DatabaseUrls
) -> None:
    migrated("tenants", "create", "acme")
    with psycopg.connect(database_urls.owner, autocommit=True) as connection:
        connection.execute("UPDATE tenantry.alembic_version SET version_num = '0001'")
        connection.execute("UPDATE tenantry.tenant_migrations SET revisions = '{}'")
    report = answer(migrated("doctor", "--json"), exit_code=1)
    assert "at revision 0001, expected" in detail(report, "control schema")
    assert "behind: acme" in detail(report, "tenant schemas")


def test_a_database_and_a_redis_that_are_down_are_found(run: Run, start_redis: RedisFactory) -> None:
    server = start_redis()
    server.stop()
    down = {"TENANTRY_DATABASE_URL": "postgresql://nobody:hush@127.0.0.1:1/x", "TENANTRY_REDIS_URL": server.url}
    result = run("doctor", "--json", **down)
    found = verdicts(answer(result, exit_code=1))
    assert (found["database"], found["redis"]) == ("wrong", "wrong")
    assert "hush" not in result.output


def test_a_redis_that_can_evict_counters_is_a_warning(migrated: Run, start_redis: RedisFactory) -> None:
    server = start_redis()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    report = answer(migrated("doctor", "--json", TENANTRY_REDIS_URL=server.url))
    assert "noeviction" in detail(report, "redis")
    without = answer(migrated("doctor", "--json", TENANTRY_REDIS_URL=None))
    assert "share of every limit" in detail(without, "redis")


def test_a_redis_that_does_not_allow_config_is_a_warning(migrated: Run, start_redis: RedisFactory) -> None:
    """Managed servers do not."""
    server = start_redis()
    with redis.Redis.from_url(server.url) as client:
        client.acl_setuser("guest", enabled=True, passwords="+hush", categories=["+@all"], commands=["-config"])
    url = f"redis://guest:hush@{server.host}:{server.port}/0"
    report = answer(migrated("doctor", "--json", TENANTRY_REDIS_URL=url))
    assert verdicts(report)["redis"] == "warning"
    assert "cannot be read" in detail(report, "redis")


def test_resources_that_cannot_be_served_are_found(migrated: Run) -> None:
    report = answer(migrated("doctor", "--json", TENANTRY_RESOURCES="nowhere.to.be.found"), exit_code=1)
    assert "cannot be imported" in detail(report, "resources")
