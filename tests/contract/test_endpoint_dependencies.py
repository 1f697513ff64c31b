"""What endpoints of the SaaS team get by ``Depends``: the tenant's session, the principal, the plan."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.fixtures.gateways import Gateway, GatewayFactory
from tests.fixtures.own_endpoints import OWN_ENDPOINTS

pytestmark = pytest.mark.anyio


@pytest.fixture
async def gateway(gateways: GatewayFactory) -> AsyncIterator[Gateway]:
    async with gateways(resources=OWN_ENDPOINTS) as opened:
        yield opened


async def _contact(gateway: Gateway) -> str:
    """The id of a new contact of acme."""
    created = await gateway.client.post("/v1/contacts", json={"name": "Ada"}, headers=gateway.acme.key())
    return str(created.json()["id"])


async def _read(gateway: Gateway, contact: str) -> httpx.Response:
    return await gateway.client.get(f"/v1/contacts/{contact}", headers=gateway.acme.key())


async def _rename(gateway: Gateway, contact: str, body: object, role: str = "member") -> httpx.Response:
    path = f"/v1/own/contacts/{contact}/rename"
    return await gateway.client.post(path, json=body, headers=gateway.acme.key(role))


async def test_a_change_is_committed_before_the_response(gateway: Gateway) -> None:
    """One request, one transaction."""
    contact = await _contact(gateway)
    assert (await _rename(gateway, contact, {"name": "Grace"})).status_code == 204
    assert (await _read(gateway, contact)).json()["name"] == "Grace"


async def test_an_error_rolls_the_transaction_back(gateway: Gateway) -> None:
    """Also when the change was flushed already, and whatever the error is."""
    contact = await _contact(gateway)
    before = (await _read(gateway, contact)).headers["etag"]
    assert (await _rename(gateway, contact, {"name": "Grace", "fail": True})).status_code == 409
    assert (await _read(gateway, contact)).headers["etag"] == before
    crashed = await gateway.client.post("/v1/own/crash", headers=gateway.acme.key())
    assert (crashed.status_code, crashed.json()["code"]) == (500, "internal")
    names = await gateway.client.get("/v1/own/names", headers=gateway.acme.key())
    assert names.text == "Ada\n"


async def test_a_statement_group_is_committed_unless_the_endpoint_fails(gateway: Gateway) -> None:
    """One request, one transaction, also where the endpoint does not commit the group itself."""
    contact = await _contact(gateway)
    path = f"/v1/own/contacts/{contact}/touch"
    assert (await gateway.client.post(f"{path}?fail=true", headers=gateway.acme.key())).status_code == 409
    assert (await _read(gateway, contact)).json()["notes"] is None
    assert (await gateway.client.post(path, headers=gateway.acme.key())).status_code == 204
    assert (await _read(gateway, contact)).json()["notes"] == "touched"


async def test_a_session_is_the_tenants_own(gateway: Gateway) -> None:
    """AZ4: another tenant's contact is in no table that the session sees."""
    contact = await _contact(gateway)
    path = f"/v1/own/contacts/{contact}/rename"
    foreign = await gateway.client.post(path, json={"name": "x"}, headers=gateway.globex.key("owner"))
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert (await gateway.client.get("/v1/own/names", headers=gateway.globex.key())).text == ""


async def test_a_write_of_a_row_that_has_changed_is_a_conflict(gateway: Gateway) -> None:
    """No change of another request is lost, and none answers 500."""
    contact = await _contact(gateway)
    stale = await gateway.client.post(f"/v1/own/contacts/{contact}/stale", headers=gateway.acme.key())
    assert (stale.status_code, stale.json()["code"]) == (409, "conflict")
    assert (await _read(gateway, contact)).json()["name"] == "Ada"


async def test_an_endpoint_gets_principal_and_plan(gateway: Gateway) -> None:
    caller = await gateway.client.get("/v1/own/caller", headers=gateway.acme.key("viewer"))
    assert caller.json() == {"tenant": "acme", "role": "viewer", "plan": "scale"}


async def test_the_body_is_bounded_and_read_strictly(gateway: Gateway) -> None:
    """DA1, DA2, AZ7: the same as everywhere."""
    contact = await _contact(gateway)
    path, headers = f"/v1/own/contacts/{contact}/rename", {**gateway.acme.key(), "content-type": "application/json"}
    for body, code in (
        (b'{"name": "%s"}' % (b"x" * 100), "payload_too_large"),
        (b'{"name": "a", "name": "b"}', "malformed_request"),
        (b'{"name": "a", "role": "owner"}', "validation_failed"),
        (b"", "validation_failed"),
    ):
        refused = await gateway.client.post(path, content=body, headers=headers)
        assert refused.json()["code"] == code, body
    viewer = {**headers, **gateway.acme.key("viewer")}
    refused = await gateway.client.post(path, content=b"no json", headers=viewer)
    assert refused.status_code == 403, "the guard comes before the body"
