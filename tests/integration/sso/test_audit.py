"""What a tenant's audit log says of single sign-on."""

import pytest

from tests.fixtures.oidc import CLIENT_SECRET, HostileProvider
from tests.fixtures.people import execute, sign_in
from tests.fixtures.single_sign_on import CONNECTION, DOMAINS, SingleSignOn

pytestmark = pytest.mark.anyio


async def test_every_change_is_in_the_log_of_its_tenant(sso: SingleSignOn, hostile: HostileProvider) -> None:
    """AU1, SE1: with its actor and without a secret; the owners' emergency access too."""
    client, owner = sso.gateway.client, sso.acme.key("owner")
    added = await client.post(DOMAINS, json={"domain": "acme.example"}, headers=owner)
    record = added.json()["record"]
    sso.dns.records[record["name"]] = [record["value"]]
    for _ in range(2):
        assert (await client.post(f"{added.headers['location']}/verify", headers=owner)).status_code == 200
    given = {"issuer": hostile.issuer, "client_id": hostile.client_id}
    await sso.configure(**given)
    assert (await sso.attack(hostile)).status_code == 200
    await sso.configure(**given, enforced=True)
    await sign_in(sso.gateway, "owner")
    hostile.claims = {"nonce": "another"}
    assert [(await sso.attack(hostile)).status_code for _ in range(2)] == [401, 401]
    await sso.gateway.services.features.refusals.flush(everything=True)
    await client.delete(CONNECTION, headers=owner)
    await client.delete(added.headers["location"], headers=owner)
    rows = execute(
        sso.gateway,
        f"SELECT type, actor_kind, before, after FROM {sso.acme.ref.schema}.tenantry_events ORDER BY created_at, id",  # noqa: S608 - a name of the server's
    )
    assert [(action, kind) for action, kind, *_ in rows if action.startswith("sso_") or kind == "user"] == [
        ("sso_domains.added", "api_key"),
        ("sso_domains.verified", "api_key"),
        ("sso_connections.created", "api_key"),
        ("members.added", "user"),
        ("sign_in.succeeded", "user"),
        ("sso_connections.updated", "api_key"),
        ("sign_in.emergency_access", "user"),
        ("sign_in.succeeded", "user"),
        ("sso_sign_in.refused", "anonymous"),
        ("sso_connections.removed", "api_key"),
        ("sso_domains.removed", "api_key"),
    ]
    assert CLIENT_SECRET not in str(rows)
