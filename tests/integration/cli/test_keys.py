"""`tenantry keys`: what a key is created with, filters of the list, disabling, and the peppers that keys need."""

import base64
from typing import Any

import psycopg

from tests.fixtures.commands import SECRET, Run, answer
from tests.fixtures.databases import DatabaseUrls

_NEW = base64.b64encode(b"n" * 32).decode()
_DESCRIBED = ("--description", "Every night.", "--metadata", "team=a=b", "--metadata", "on-call=", "--cidr", "::1")
_EXPIRING = ("--expires-at", "2090-01-01T00:00:00Z", "--role", "viewer")


def _keys(migrated: Run, *arguments: str, **settings: str) -> Any:
    return answer(migrated("keys", *arguments, "--json", **settings))


def test_a_key_is_described_filtered_disabled_and_enabled(migrated: Run, database_urls: DatabaseUrls) -> None:
    """ID4: as over HTTP; printed as one object, and as text."""
    migrated("tenants", "create", "acme")
    made = _keys(migrated, "create", "acme", "--name", "nightly", *_DESCRIBED, *_EXPIRING)
    assert (made["description"], made["metadata"]) == ("Every night.", {"team": "a=b", "on-call": ""})
    assert (made["allowed_cidrs"], made["expires_at"]) == (["::1/128"], "2090-01-01T00:00:00Z")
    disabled = _keys(migrated, "disable", "acme", made["id"])
    assert (disabled["status"], disabled["disabled_at"] is None) == ("disabled", False)
    with psycopg.connect(database_urls.owner) as connection:
        use = (
            "INSERT INTO tenantry.api_key_uses SELECT id, 7, now(), '::1' FROM tenantry.api_keys WHERE name = 'nightly'"
        )
        connection.execute(use)
    for options, found in (
        (("--status", "disabled"), ["nightly"]),
        (("--status", "revoked", "--status", "active"), ["first key"]),
        (("--role", "viewer", "--name", "NIGHT"), ["nightly"]),
        (("--expires-before", "2090-01-01T00:00:01Z"), ["nightly"]),
        (("--unused-since", "2089-01-01T00:00:00Z"), ["nightly", "first key"]),
        (("--unused-since", "2020-01-01T00:00:00Z"), []),
        (("--created-by", "usr_01h455vb4pex5vsknk084sn02q"), []),
    ):
        assert [each["name"] for each in _keys(migrated, "list", "acme", *options)["data"]] == found, options
    text = migrated("keys", "list", "acme", "--status", "disabled").stdout
    assert text.split()[8:10] == ["last_used_at", "requests"]
    assert text.rstrip().endswith("7")
    assert _keys(migrated, "enable", "acme", made["id"])["status"] == "active"
    assert "revoked" in migrated("keys", "revoke", "acme", made["id"]).stdout
    assert answer(migrated("keys", "enable", "acme", made["id"], "--json"), 1)["error"]["code"] == "conflict"
    for wrong in (
        ("create", "acme", "--name", "x", "--metadata", "no-separator"),
        ("create", "acme", "--name", "x", "--metadata", "a b=c"),
        ("create", "acme", "--name", "x", "--expires-at", "tomorrow"),
        ("create", "acme", "--name", "x", "--expires-in-days", "1", *_EXPIRING),
        ("list", "acme", "--created-by", "me"),
        ("list", "acme", "--unused-since", "yesterday"),
        ("disable", "acme", "key_none"),
    ):
        assert "code" in answer(migrated("keys", *wrong, "--json"), 1)["error"], wrong


def test_the_peppers_that_keys_need_are_counted(migrated: Run) -> None:
    """ID2: keys that have not ended, under each pepper, also under one that is not set any more."""
    migrated("tenants", "create", "acme")
    revoked = _keys(migrated, "create", "acme", "--name", "revoked")
    migrated("keys", "revoke", "acme", revoked["id"])
    both = f"2:{_NEW},1:{SECRET}"
    _keys(migrated, "create", "acme", "--name", "new", TENANTRY_KEY_PEPPERS=both)
    migrated("operator-keys", "create", "--name", "ops", TENANTRY_KEY_PEPPERS=both)
    new = {"version": 2, "use": "new keys", "api_keys": 1, "operator_keys": 1}
    old = {"version": 1, "use": "old keys", "api_keys": 1, "operator_keys": 0}
    assert _keys(migrated, "peppers", TENANTRY_KEY_PEPPERS=both)["data"] == [new, old]
    assert _keys(migrated, "peppers", TENANTRY_KEY_PEPPERS=f"2:{_NEW}")["data"] == [new, old | {"use": "missing"}]
    assert "missing" in migrated("keys", "peppers", TENANTRY_KEY_PEPPERS=f"2:{_NEW}").stdout
