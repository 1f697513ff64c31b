"""``/v1/sso/domains``: proof by a TXT record, which is asked for at a DNS server over UDP."""

import asyncio

import httpx
import pytest

from tests.fixtures.people import execute
from tests.fixtures.single_sign_on import DOMAINS, SingleSignOn

pytestmark = pytest.mark.anyio


async def _add(sso: SingleSignOn, domain: str = "acme.example", *, slug: str = "acme") -> httpx.Response:
    headers = getattr(sso.gateway, slug).key("owner")
    return await sso.gateway.client.post(DOMAINS, json={"domain": domain}, headers=headers)


async def _verify(sso: SingleSignOn, added: httpx.Response, *, slug: str = "acme") -> httpx.Response:
    headers = getattr(sso.gateway, slug).key("owner")
    return await sso.gateway.client.post(f"{DOMAINS}/{added.json()['id']}/verify", headers=headers)


def _publish(sso: SingleSignOn, *added: httpx.Response) -> None:
    for each in added:
        record = each.json()["record"]
        sso.dns.records.setdefault(record["name"], ["v=spf1 -all"]).append(record["value"])


async def test_a_domain_is_proven_by_its_record(sso: SingleSignOn) -> None:
    """Beside other records under that name; each tenant has a value of its own."""
    added = await _add(sso, " ACME.Example.")
    assert added.status_code == 201
    assert (added.json()["domain"], added.json()["verified_at"]) == ("acme.example", None)
    assert added.json()["record"]["name"] == "_tenantry.acme.example"
    assert (await _verify(sso, added)).status_code == 409, "there is no record yet"
    sso.dns.records["_tenantry.acme.example"] = [f"{added.json()['record']['value']}0"]
    assert (await _verify(sso, added)).status_code == 409, "another value"
    _publish(sso, added)
    proven = await _verify(sso, added)
    assert proven.status_code == 200
    assert proven.json()["verified_at"] is not None
    owner = sso.acme.key("owner")
    listed = (await sso.gateway.client.get(DOMAINS, headers=owner)).json()["data"]
    assert listed == [proven.json()]
    read = await sso.gateway.client.get(added.headers["location"], headers=owner)
    assert (read.json(), read.headers["etag"]) == (proven.json(), proven.headers["etag"])


async def test_a_domain_belongs_to_one_tenant(sso: SingleSignOn) -> None:
    """The first tenant that proves it, also when both do at once; any tenant may name it."""
    ours, theirs = await _add(sso), await _add(sso, slug="globex")
    assert ours.json()["record"]["value"] != theirs.json()["record"]["value"]
    _publish(sso, ours, theirs)
    answers = await asyncio.gather(_verify(sso, ours), _verify(sso, theirs, slug="globex"))
    assert sorted(each.status_code for each in answers) == [200, 409]
    assert execute(sso.gateway, "SELECT count(*) FROM tenantry.sso_domains WHERE verified_at IS NOT NULL") == [(1,)]
    winner = "acme" if answers[0].status_code == 200 else "globex"
    first, second, loser = (ours, theirs, "globex") if winner == "acme" else (theirs, ours, "acme")
    headers = getattr(sso.gateway, winner).key("owner")
    assert (await sso.gateway.client.delete(first.headers["location"], headers=headers)).status_code == 204
    assert (await _verify(sso, second, slug=loser)).status_code == 200


async def test_an_outage_of_dns_is_not_a_missing_record(sso: SingleSignOn) -> None:
    """503, and nothing changes."""
    added = await _add(sso)
    sso.dns.fails = True
    answer = await _verify(sso, added)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_domain_is_added_once(sso: SingleSignOn) -> None:
    """409, also for two at once."""
    answers = await asyncio.gather(_add(sso), _add(sso))
    assert sorted(each.status_code for each in answers) == [201, 409]
    assert (await _add(sso, "acme.example")).json()["errors"][0]["code"] == "not_unique"


async def test_what_is_no_domain_is_refused(sso: SingleSignOn) -> None:
    """Before anything is looked up."""
    for domain in ("", "localhost", "acme..example", "-a.example", "a_b.example", "10.0.0.1", "x" * 250):
        assert (await _add(sso, domain)).status_code == 422, domain


async def test_the_proof_is_looked_at_again(sso: SingleSignOn) -> None:
    """A record that has been gone for a week is no proof; an outage, and a shorter absence, change nothing."""
    added = await _add(sso)
    _publish(sso, added)
    assert (await _verify(sso, added)).status_code == 200
    domains = sso.gateway.services.features.people.sso.domains

    async def is_proven() -> bool:
        await domains.recheck()
        return bool(execute(sso.gateway, "SELECT 1 FROM tenantry.sso_domains WHERE verified_at IS NOT NULL"))

    sso.dns.records.clear()
    assert await is_proven(), "it was there a moment ago"
    execute(sso.gateway, "UPDATE tenantry.sso_domains SET seen_at = now() - interval '8 days'")
    sso.dns.fails = True
    assert await is_proven(), "DNS does not answer"
    sso.dns.fails = False
    _publish(sso, added)
    assert await is_proven(), "it is there"
    execute(sso.gateway, "UPDATE tenantry.sso_domains SET seen_at = now() - interval '8 days'")
    sso.dns.records.clear()
    assert not await is_proven()


async def test_the_domains_of_others_do_not_exist(sso: SingleSignOn) -> None:
    """AZ4: reading, verifying and deleting answer as for an unknown id."""
    added = await _add(sso)
    client, theirs = sso.gateway.client, sso.gateway.globex.key("owner")
    path = added.headers["location"]
    assert (await client.get(path, headers=theirs)).status_code == 404
    assert (await client.post(f"{path}/verify", headers=theirs)).status_code == 404
    assert (await client.delete(path, headers=theirs)).status_code == 404
