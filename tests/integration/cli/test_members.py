"""``tenantry members`` against a real PostgreSQL."""

from tests.fixtures.commands import Run, answer


def test_members_are_listed_given_roles_and_removed(migrated: Run) -> None:
    """AZ6: by address or id; the last owner stays, also for the operators of the deployment."""
    answer(migrated("tenants", "create", "acme", "--owner", "ann@acme.test", "--json"))
    (owner,) = answer(migrated("members", "list", "acme", "--json"))["data"]
    assert (owner["email"], owner["roles"]) == ("ann@acme.test", ["owner"])
    for named in (owner["id"], "ANN@acme.test"):
        for refused in (
            migrated("members", "remove", "acme", named),
            migrated("members", "set-roles", "acme", named, "--role", "admin"),
        ):
            assert refused.exit_code == 1
            assert "needs an owner" in refused.output
    kept = migrated("members", "set-roles", "acme", owner["id"], "--role", "owner", "--role", "viewer", "--json")
    assert answer(kept)["roles"] == ["owner", "viewer"]
    assert "ann@acme.test" in migrated("members", "list", "acme").stdout


def test_mistakes_are_reported_without_a_traceback(migrated: Run) -> None:
    answer(migrated("tenants", "create", "acme", "--owner", "ann@acme.test", "--json"))
    for arguments, message in (
        (("list", "nothing"), "no tenant"),
        (("remove", "acme", "bob@acme.test"), "no member"),
        (("set-roles", "acme", "ann@acme.test", "--role", "nothing"), "no role of this name"),
        (("set-roles", "acme", "ann@acme.test"), "--role"),
    ):
        result = migrated("members", *arguments)
        assert result.exit_code != 0
        assert message in result.output, result.output
        assert "Traceback" not in result.output
