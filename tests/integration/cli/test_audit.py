"""``tenantry audit verify``: exit 0 only when every chain is what was written and signed."""

import asyncio
from pathlib import Path

import orjson
import psycopg
from psycopg import sql

from tenants.audit.checkpoint_writer import CheckpointWriter
from tenants.events.service import number_events
from tenants.identifiers import TENANT, TenantId, read
from tenants.sign_in.signing_keys import SigningKeys
from tests.fixtures.commands import Run, answer
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.tenants import open_database


async def _sign(urls: DatabaseUrls, tenants: list[str], keys: str, folder: Path) -> None:
    async with open_database(urls.gateway) as database:
        for each in tenants:
            found = read(TENANT, each)
            assert found is not None
            await number_events(database, TenantId(found))
        await CheckpointWriter(database, SigningKeys.load(keys), folder).write()


def test_a_verification_names_the_row_that_was_edited(
    migrated: Run, database_urls: DatabaseUrls, environment: dict[str, str], tmp_path: Path
) -> None:
    """AU2: of one tenant, of all, as JSON and as text; with the checkpoints of the settings or of an option."""
    acme = answer(migrated("tenants", "create", "acme", "--json"))
    globex = answer(migrated("tenants", "create", "globex", "--json"))
    folder = tmp_path / "checkpoints"
    asyncio.run(_sign(database_urls, [acme["id"], globex["id"]], environment["TENANTRY_SIGNING_KEYS"], folder))
    settings = {"TENANTRY_AUDIT_CHECKPOINTS": str(folder)}
    found = answer(migrated("audit", "verify", "--all", "--json", **settings))
    assert [(each["slug"], each["events"], each["signed_up_to"]) for each in found["tenants"]] == [
        *(("globex", 2, 2), ("acme", 2, 2)),
    ]
    text = migrated("audit", "verify", "acme")
    assert text.exit_code == 0
    assert "none given" in text.stdout
    with psycopg.connect(database_urls.superuser) as superuser:
        edit = sql.SQL("UPDATE {} SET actor_kind = 'user' WHERE sequence = 2")
        superuser.execute(edit.format(sql.Identifier(acme["schema"], "tenantry_events")))
    assert answer(migrated("audit", "verify", "globex", "--json", **settings))["good"]
    failed = answer(migrated("audit", "verify", acme["id"], "--checkpoints", str(folder), "--json"), exit_code=1)
    (fault,) = failed["tenants"][0]["faults"]
    assert (fault["kind"], fault["sequence"], fault["event"][:4]) == ("changed", 2, "evt_")
    text = migrated("audit", "verify", "--all", **settings)
    assert text.exit_code == 1
    assert fault["event"] in text.stdout


def test_a_forged_checkpoint_fails_the_verification(
    migrated: Run, database_urls: DatabaseUrls, environment: dict[str, str], tmp_path: Path
) -> None:
    """AU2: a line that none of our keys has signed is no evidence, and somebody wrote it."""
    acme = answer(migrated("tenants", "create", "acme", "--json"))
    asyncio.run(_sign(database_urls, [acme["id"]], environment["TENANTRY_SIGNING_KEYS"], tmp_path / "signed"))
    (file,) = (tmp_path / "signed").iterdir()
    file.write_bytes(orjson.dumps(orjson.loads(file.read_bytes().splitlines()[0]) | {"sequence": 1}))
    failed = answer(migrated("audit", "verify", "acme", "--checkpoints", str(file), "--json"), exit_code=1)
    assert (failed["tenants"][0]["good"], len(failed["checkpoints"]["forged"])) == (True, 1)


def test_a_verification_needs_a_tenant(migrated: Run) -> None:
    """Neither none, nor one that does not exist, nor one and all."""
    migrated("tenants", "create", "acme")
    assert answer(migrated("audit", "verify", "--json"), exit_code=1)["error"]["code"] == "usage_invalid"
    both = migrated("audit", "verify", "acme", "--all", "--json")
    assert answer(both, exit_code=1)["error"]["code"] == "usage_invalid"
    assert answer(migrated("audit", "verify", "nobody", "--json"), exit_code=1)["error"]["code"] == "not_found"


def test_the_operators_log_is_verified_with_all_and_alone(
    migrated: Run, database_urls: DatabaseUrls, environment: dict[str, str], tmp_path: Path
) -> None:
    """AU1, AU2: every command that changes the deployment is in it; so is a tenant that is gone."""
    key = answer(migrated("operator-keys", "create", "--name", "on-call", "--json"))
    answer(migrated("operator-keys", "revoke", key["id"], "--json"))
    answer(migrated("tenants", "create", "acme", "--json"))
    answer(migrated("tenants", "suspend", "acme", "--reason", "unpaid", "--json"))
    gone = answer(migrated("tenants", "delete", "acme", "--yes", "--json"))
    asyncio.run(_sign(database_urls, [], environment["TENANTRY_SIGNING_KEYS"], tmp_path))
    with psycopg.connect(database_urls.superuser) as superuser:
        rows = superuser.execute(
            "SELECT action, object, actor_kind, reason, concat(before::text, after::text) LIKE %s"
            " FROM tenantry.operator_events WHERE action NOT LIKE 'plans.%%' ORDER BY sequence",
            ("%" + key["secret"] + "%",),
        ).fetchall()
    assert [row[:4] for row in rows] == [
        ("operator_keys.created", key["id"], "cli", None),
        ("operator_keys.revoked", key["id"], "cli", None),
        ("tenant.created", gone["id"], "cli", None),
        ("tenant.suspended", gone["id"], "cli", "unpaid"),
        ("tenant.deleted", gone["id"], "cli", None),
    ]
    assert not any(row[4] for row in rows)
    settings = {"TENANTRY_AUDIT_CHECKPOINTS": str(tmp_path)}
    good = answer(migrated("audit", "verify", "--all", "--json", **settings))["operators"]
    assert (good["good"], good["signed_up_to"]) == (True, good["events"])
    assert "(operators)" in migrated("audit", "verify", "--operators").stdout
    with psycopg.connect(database_urls.superuser) as superuser:
        superuser.execute("UPDATE tenantry.operator_events SET reason = 'paid' WHERE reason = 'unpaid'")
    failed = answer(migrated("audit", "verify", "--operators", "--json"), exit_code=1)["operators"]
    assert [each["kind"] for each in failed["faults"]] == ["changed"]
