"""Commands against a real PostgreSQL: their output and exit codes."""

from pathlib import Path

import psycopg
import pytest

from gateway.cli.command_group import COMMANDS
from tests.fixtures.catalog import schemas_and_roles
from tests.fixtures.commands import Run, answer
from tests.fixtures.databases import DatabaseUrls


def test_every_command_has_a_help_text(run: Run) -> None:
    for name in COMMANDS:
        result = run(name, "--help")
        assert result.exit_code == 0
        assert "Usage" in result.stdout


def test_migrate_updates_everything_and_can_be_repeated(run: Run) -> None:
    first = answer(run("migrate", "--json"))
    assert first["complete"]
    assert first["failed"] == []
    assert answer(run("migrate", "--json")) == first


def test_migrate_creates_roles_and_database_with_a_superuser(run: Run, database_urls: DatabaseUrls) -> None:
    fresh = database_urls.renamed(f"{database_urls.name}_fresh")
    urls = {"TENANTRY_DATABASE_URL": fresh.gateway, "TENANTRY_OWNER_DATABASE_URL": fresh.owner}
    admin = {"TENANTRY_ADMIN_DATABASE_URL": database_urls.superuser}
    assert "does not exist" in run("migrate", **urls).output
    assert answer(run("migrate", "--json", **urls, **admin))["complete"]
    assert answer(run("doctor", "--json", **urls))["healthy"]


def test_a_tenant_is_created_listed_suspended_and_resumed(migrated: Run) -> None:
    created = answer(migrated("tenants", "create", "acme", "--plan", "pro", "--owner", "ann@acme.test", "--json"))
    assert created["slug"] == "acme"
    assert created["plan"] == "pro"
    assert created["api_key"]["secret"].startswith("tn_live_")
    suspended = answer(migrated("tenants", "suspend", "acme", "--reason", "Unpaid.", "--json"))
    assert (suspended["status"], suspended["suspension"]["reason"]) == ("suspended", "Unpaid.")
    assert "Unpaid." in migrated("tenants", "show", "acme").stdout
    assert [each["status"] for each in answer(migrated("tenants", "list", "--json"))["data"]] == ["suspended"]
    assert answer(migrated("tenants", "resume", created["id"], "--json"))["status"] == "active"
    assert "acme" in migrated("tenants", "list").stdout
    assert answer(migrated("tenants", "set-plan", "acme", "scale", "--json"))["plan"] == "scale"
    shown = answer(migrated("tenants", "show", "acme", "--json"))
    assert (shown["id"], shown["plan"], shown["suspension"]) == (created["id"], "scale", None)


def test_a_person_with_an_account_becomes_an_owner(migrated: Run, database_urls: DatabaseUrls) -> None:
    """A member keeps the other roles; who has no account has to be invited."""
    migrated("tenants", "create", "acme")
    with psycopg.connect(database_urls.owner) as connection:
        for email in ("ann@acme.test", "bob@globex.test"):
            connection.execute("INSERT INTO tenantry.users (id, email) VALUES (gen_random_uuid(), %s)", [email])
    migrated("tenants", "set-owner", "acme", "ann@acme.test")
    joined = answer(migrated("tenants", "set-owner", "acme", "BOB@globex.test", "--json"))
    assert (joined["email"], joined["roles"]) == ("bob@globex.test", ["owner"])
    answer(migrated("members", "set-roles", "acme", "bob@globex.test", "--role", "viewer", "--json"))
    again = answer(migrated("tenants", "set-owner", "acme", "bob@globex.test", "--json"))
    assert again["roles"] == ["owner", "viewer"]
    assert len(answer(migrated("members", "list", "acme", "--json"))["data"]) == 2
    unknown = migrated("tenants", "set-owner", "acme", "eve@acme.test")
    assert (unknown.exit_code, "tenantry members invite" in unknown.stderr) == (1, True)


def test_a_tenant_is_deleted_with_all_its_data(migrated: Run, database_urls: DatabaseUrls) -> None:
    """IS8: and no other tenant's."""
    acme = answer(migrated("tenants", "create", "acme", "--json"))
    globex = answer(migrated("tenants", "create", "globex", "--json"))
    deleted = answer(migrated("tenants", "delete", "acme", "--yes", "--json"))
    assert deleted == {"id": acme["id"], "slug": "acme", "deleted": True}
    schemas, roles = schemas_and_roles(database_urls.owner)
    assert acme["schema"] not in schemas | roles
    assert globex["schema"] in schemas & roles
    assert [each["slug"] for each in answer(migrated("tenants", "list", "--json"))["data"]] == ["globex"]
    assert globex["id"] in migrated("tenants", "delete", globex["id"], "--yes").stdout


def test_without_a_terminal_nothing_is_deleted_unconfirmed(migrated: Run) -> None:
    """A script cannot answer a prompt."""
    migrated("tenants", "create", "acme")
    refused = migrated("tenants", "delete", "acme", "--json")
    assert answer(refused, exit_code=1)["error"]["code"] == "not_confirmed"
    assert "--yes" in refused.stdout
    assert len(answer(migrated("tenants", "list", "--json"))["data"]) == 1
    migrated("tenants", "delete", "acme", "--yes")


def test_a_keys_secret_is_printed_once_and_the_key_revoked(migrated: Run) -> None:
    migrated("tenants", "create", "acme")
    created = answer(migrated("keys", "create", "acme", "--name", "reporting", "--role", "viewer", "--json"))
    assert created["role"] == "viewer"
    listed = migrated("keys", "list", "acme", "--json")
    assert created["secret"] not in listed.stdout
    assert {each["name"] for each in answer(listed)["data"]} == {"reporting", "first key"}
    assert answer(migrated("keys", "revoke", "acme", created["id"], "--json"))["revoked_at"] is not None


def test_commands_that_take_rights_away_wait_for_all_workers(migrated: Run, database_urls: DatabaseUrls) -> None:
    """ID14: each asks the workers once; one that gives rights, or reads, does not."""
    migrated("tenants", "create", "acme")
    key = answer(migrated("keys", "create", "acme", "--name", "ci", "--json"))
    operator = answer(migrated("operator-keys", "create", "ops", "--json"))
    with psycopg.connect(database_urls.owner, autocommit=True) as connection:
        for arguments, asked in (
            (("keys", "revoke", "acme", key["id"]), 1),
            (("tenants", "set-plan", "acme", "pro"), 1),
            (("tenants", "suspend", "acme"), 1),
            (("tenants", "show", "acme"), 0),
            (("tenants", "resume", "acme"), 0),
            (("operator-keys", "revoke", operator["id"]), 1),
            (("tenants", "delete", "acme", "--yes"), 1),
        ):
            before = connection.execute("SELECT last_value FROM tenantry.confirmations").fetchone()
            assert migrated(*arguments).exit_code == 0
            after = connection.execute("SELECT last_value FROM tenantry.confirmations").fetchone()
            assert before is not None
            assert after == (before[0] + asked,), arguments


def test_a_key_can_be_restricted(migrated: Run) -> None:
    migrated("tenants", "create", "acme")
    options = ("--scope", "contacts:read", "--allowed-cidr", "10.0.0.0/8", "--expires-in-days", "7")
    created = answer(migrated("keys", "create", "acme", "--name", "narrow", *options, "--json"))
    assert created["scopes"] == ["contacts:read"]
    assert created["allowed_cidrs"] == ["10.0.0.0/8"]
    assert created["expires_at"] is not None
    assert created["secret"].startswith("tn_live_")


def test_a_key_can_have_a_role_of_the_tenant(migrated: Run, database_urls: DatabaseUrls) -> None:
    """Another tenant's role of that name gives nothing."""
    acme = answer(migrated("tenants", "create", "acme", "--json"))
    migrated("tenants", "create", "globex")
    with psycopg.connect(database_urls.owner) as connection:
        connection.execute(
            "INSERT INTO tenantry.roles (id, tenant_id, name, permissions)"
            " SELECT gen_random_uuid(), id, 'support', '{contacts:read}' FROM tenantry.tenants WHERE slug = 'acme'"
        )
    options = ("--name", "x", "--role", "support", "--scope", "contacts:read", "--json")
    assert answer(migrated("keys", "create", acme["id"], *options))["role"] == "support"
    refused = answer(migrated("keys", "create", "globex", *options), exit_code=1)
    assert refused["error"]["code"] == "validation_failed"


def test_an_operator_key_is_created_listed_and_revoked(migrated: Run) -> None:
    created = answer(migrated("operator-keys", "create", "--name", "ops", "--json"))
    assert created["secret"].startswith("tn_op_")
    assert created["role"] == "admin"
    options = ("--role", "support", "--expires-in-days", "1")
    helper = answer(migrated("operator-keys", "create", "--name", "helper", *options, "--json"))
    revoked = answer(migrated("operator-keys", "revoke", created["id"], "--json"))
    assert revoked["revoked_at"] is not None
    listed = answer(migrated("operator-keys", "list", "--json"))["data"]
    assert [(each["id"], each["role"]) for each in listed] == [(helper["id"], "support"), (created["id"], "admin")]
    assert listed[1] == revoked
    shown = migrated("operator-keys", "list").stdout
    assert "helper" in shown
    assert helper["secret"] not in shown


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("tenants", "create", "acme"), "conflict"),
        (("tenants", "create", "other", "--plan", "gold"), "validation_failed"),
        (("tenants", "create", "No Slug"), "validation_failed"),
        (("tenants", "suspend", "nobody"), "not_found"),
        (("tenants", "suspend", "acme", "--reason", "a\u202eb"), "validation_failed"),
        (("tenants", "show", "nobody"), "not_found"),
        (("tenants", "set-plan", "acme", "gold"), "validation_failed"),
        (("tenants", "set-owner", "acme", "eve@acme.test"), "not_found"),
        (("keys", "create", "acme", "--name", "x", "--role", "king"), "validation_failed"),
        (("tenants", "delete", "nobody", "--yes"), "not_found"),
        (("tenants", "delete", "acme"), "not_confirmed"),
        (("keys", "create", "acme", "--name", "x", "--scope", "moon:land"), "validation_failed"),
        (("keys", "create", "acme", "--name", "x", "--allowed-cidr", "everywhere"), "validation_failed"),
        (("keys", "create", "acme", "--name", "x", "--allowed-cidr", "fe80::1%eth0"), "validation_failed"),
        (("keys", "create", "acme", "--name", "a\x9bb"), "validation_failed"),
        (("tenants", "create", "other", "--name", "a\u202eb"), "validation_failed"),
        (("operator-keys", "create", "--name", "a\x9bb"), "validation_failed"),
        (("keys", "revoke", "acme", "key_none"), "not_found"),
        (("keys", "list", "nobody"), "not_found"),
        (("operator-keys", "revoke", "opk_none"), "not_found"),
        (("operator-keys", "revoke", "opk_01h455vb4pex5vsknk084sn02q"), "not_found"),
        (("operator-keys", "create", "--name", "\x1b[31m"), "validation_failed"),
    ],
)
def test_a_refusal_is_one_sentence_and_exit_code_1(migrated: Run, arguments: tuple[str, ...], code: str) -> None:
    migrated("tenants", "create", "acme")
    refused = answer(migrated(*arguments, "--json"), exit_code=1)
    assert refused["error"]["code"] == code
    plain = migrated(*arguments)
    assert plain.exit_code == 1
    assert plain.stdout == ""
    assert plain.stderr.startswith("Error: ")
    assert "Traceback" not in plain.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nonsense",), "nonsense"),
        (("tenants", "suspend"), "TENANT"),
        (("tenants", "set-plan", "acme"), "PLAN"),
        (("tenants", "suspend", "acme", "globex"), "globex"),
        (("tenants", "list", "--wrong"), "--wrong"),
        (("keys", "create", "acme", "--name", "x", "--expires-in-days", "36501"), "--expires-in-days"),
        (("operator-keys", "create", "--name", "x", "--expires-in-days", "999999999"), "--expires-in-days"),
        (("migrate", "--jobs", "0"), "--jobs"),
        (("--env-file", "nowhere.env", "tenants", "list"), "--env-file"),
    ],
)
def test_a_usage_error_is_one_object_with_json(run: Run, arguments: tuple[str, ...], named: str) -> None:
    """`--json` prints one machine-readable object, also when the arguments cannot be parsed."""
    failed = run(*arguments, "--json")
    assert answer(failed, exit_code=2)["error"]["code"] == "usage_invalid"
    assert named in failed.stdout
    assert failed.stderr == ""
    plain = run(*arguments)
    assert (plain.exit_code, plain.stdout) == (2, "")
    assert "Usage: " in plain.stderr


def test_an_unavailable_database_is_reported(run: Run) -> None:
    down = {"TENANTRY_DATABASE_URL": "postgresql://tenantry_gateway:hush@127.0.0.1:1/nothing"}
    result = run("tenants", "list", "--json", **down)
    assert answer(result, exit_code=1)["error"]["code"] == "unavailable"
    assert "hush" not in result.output


def test_a_database_without_migrations_is_reported(run: Run, empty_database_urls: DatabaseUrls) -> None:
    result = run("tenants", "list", "--json", TENANTRY_DATABASE_URL=empty_database_urls.gateway)
    assert answer(result, exit_code=1)["error"]["code"] == "not_migrated"


def test_invalid_settings_are_named_without_their_values(run: Run) -> None:
    result = run("tenants", "list", TENANTRY_SECRET_KEY="too-short-to-be-a-secret", TENANTRY_KEY_PEPPERS=None)
    assert result.exit_code == 1
    assert "TENANTRY_KEY_PEPPERS" in result.stderr
    assert "too-short-to-be-a-secret" not in result.output


def test_an_invalid_plan_file_is_reported_with_the_position(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plans.toml"
    file.write_text("[[plans]]\ncode = 'X'")
    refused = answer(run("plans", "seed", str(file), "--json"), exit_code=1)
    assert any(detail.startswith("plans.0.code: ") for detail in refused["error"]["details"])
    for content in (b"this is not toml", b"\xff"):
        file.write_bytes(content)
        assert "is not valid TOML" in run("plans", "seed", str(file)).stderr


def test_a_price_that_another_plan_has_is_reported(migrated: Run, tmp_path: Path) -> None:
    """The unique constraint of the database is a conflict that names the field."""
    plan = '[[plans]]\ncode = "{}"\nname = "x"\nrank = {}\nwindows = [{{name = "w", quota = 1, window_seconds = 1}}]\n'
    file, price = tmp_path / "plans.toml", 'stripe_price_id = "price_1"\n'
    file.write_text(plan.format("free", 0) + plan.format("gold", 1) + price)
    answer(migrated("plans", "seed", str(file), "--json"))
    file.write_text(plan.format("free", 0) + plan.format("silver", 2) + price)
    refused = answer(migrated("plans", "seed", str(file), "--json"), exit_code=1)
    assert refused["error"]["code"] == "conflict"
    assert refused["error"]["details"] == ["/stripe_price_id: Already in use."]


def test_resources_migration_reports_when_nothing_has_changed(migrated: Run) -> None:
    refused = answer(migrated("resources", "migration", "-m", "nothing", "--json"), exit_code=1)
    assert refused["error"]["code"] == "nothing_changed"


def test_the_first_migration_of_a_resource_creates_its_folder(
    migrated: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A team that declares its first resource has written a module only."""
    (tmp_path / "ashop").mkdir()
    (tmp_path / "ashop" / "resources.py").write_text(
        "from pathlib import Path\n"
        "from examples.crm.resources import contacts, deals\n"
        "RESOURCES = (contacts, deals)\n"
        'MIGRATIONS = Path(__file__).parent / "migrations"\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    declared = {"TENANTRY_RESOURCES": "ashop.resources"}
    missing = answer(migrated("migrate", "--json", **declared), exit_code=1)
    assert "tenantry resources migration" in missing["error"]["message"]
    written = Path(answer(migrated("resources", "migration", "-m", "contacts", "--json", **declared))["written"])
    assert written == tmp_path / "ashop" / "migrations" / "ashop_0001_contacts.py"
    assert "create_table('contacts'" in written.read_text()
