"""What another tenant has answers exactly as what does not exist, on every way into the shared CRUD endpoints."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tenants.identifiers import new_id, show
from tests.fixtures.databases import copy_database
from tests.fixtures.gateways import Gateway, Template, running_gateway

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def gateway(gateway_template: Template) -> AsyncIterator[Gateway]:
    """One gateway for the module: each test makes the rows that it looks at."""
    with ExitStack() as stack:
        urls = copy_database(gateway_template.urls, stack)
        async with running_gateway(gateway_template, urls) as opened:
            yield opened


async def _of_globex(gateway: Gateway, path: str = "/v1/contacts", **body: Any) -> httpx.Response:
    answer = await gateway.client.post(path, json=body, headers=gateway.globex.key())
    assert answer.status_code == 201, answer.text
    return answer


def _without_request_id(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    request_id = answer.headers["x-request-id"]
    assert answer.json()["request_id"] == request_id
    counted = ("x-request-id", "ratelimit")  # what is left of a window goes down by one at every request
    headers = [(name, value) for name, value in answer.headers.multi_items() if name not in counted]
    return answer.status_code, answer.content.replace(request_id.encode(), b""), headers


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("conditional", [False, True])
async def test_a_foreign_id_answers_as_an_unknown_one(gateway: Gateway, method: str, conditional: bool) -> None:  # noqa: FBT001
    """AZ4: 404, byte for byte the same but for the request id, and the other's row is as it was."""
    theirs = await _of_globex(gateway, name="Secret Buyer")
    headers = gateway.acme.key() | ({"If-Match": theirs.headers["etag"]} if conditional else {})
    body: dict[str, Any] = {"json": {"name": "stolen"}} if method == "PATCH" else {}
    foreign, unknown, impossible = [
        await gateway.client.request(method, f"/v1/contacts/{each}", headers=headers, **body)
        for each in (theirs.json()["id"], show("contact", new_id()), "x")
    ]
    assert foreign.status_code == 404
    assert _without_request_id(foreign) == _without_request_id(unknown) == _without_request_id(impossible)
    now = await gateway.client.get(theirs.headers["location"], headers=gateway.globex.key())
    assert (now.status_code, now.json()) == (200, theirs.json())


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_foreign_reference_answers_as_an_unknown_one(gateway: Gateway, method: str) -> None:
    """AZ4: a reference does not reveal whether a contact of another tenant exists."""
    theirs = await _of_globex(gateway, name="Secret Buyer")
    key, path = gateway.acme.key(), "/v1/deals"
    if method == "PATCH":
        path = (await gateway.client.post(path, json={"title": "Engine"}, headers=key)).headers["location"]
    foreign, unknown = [
        await gateway.client.request(method, path, json={"title": "Engine", "contact_id": each}, headers=key)
        for each in (theirs.json()["id"], show("contact", new_id()))
    ]
    assert foreign.status_code == 422
    assert foreign.json()["errors"] == [
        {"pointer": "/contact_id", "code": "unknown_reference", "message": "There is no such object."}
    ]
    assert _without_request_id(foreign) == _without_request_id(unknown)


async def test_lists_and_searches_hold_the_tenants_own_rows_alone(gateway: Gateway) -> None:
    """Every filter that would find the other's row finds nothing."""
    theirs = (await _of_globex(gateway, name="Unmistakable Buyer", email="buyer@globex.example")).json()
    deal = (await _of_globex(gateway, "/v1/deals", title="Engine", contact_id=theirs["id"])).json()
    for path in (
        f"/v1/contacts?id={theirs['id']}",
        f"/v1/contacts?id[in]={theirs['id']}",
        "/v1/contacts?name=Unmistakable%20Buyer",
        "/v1/contacts?email[contains]=globex",
        "/v1/contacts?q=unmistakable",
        f"/v1/deals?contact_id={theirs['id']}",
        f"/v1/deals?id={deal['id']}",
    ):
        answer = await gateway.client.get(path, headers=gateway.acme.key())
        assert answer.json() == {"data": [], "has_more": False, "next_cursor": None}, path
        assert len((await gateway.client.get(path, headers=gateway.globex.key())).json()["data"]) == 1, path


async def test_a_cursor_of_another_tenant_is_refused(gateway: Gateway) -> None:
    """IS6: refused as any text that is no cursor, though the list is spelled the same."""
    for _ in range(2):
        await _of_globex(gateway, name="Buyer")
    listing = "/v1/contacts?limit=1&sort=name"
    cursor = (await gateway.client.get(listing, headers=gateway.globex.key())).json()["next_cursor"]
    assert (await gateway.client.get(f"{listing}&cursor={cursor}", headers=gateway.globex.key())).status_code == 200
    foreign, nonsense = [
        await gateway.client.get(f"{listing}&cursor={each}", headers=gateway.acme.key())
        for each in (cursor, "nonsense")
    ]
    assert (foreign.status_code, foreign.json()["errors"][0]["code"]) == (422, "bad_cursor")
    assert _without_request_id(foreign) == _without_request_id(nonsense)


async def test_equal_rows_of_two_tenants_have_different_tags(gateway: Gateway) -> None:
    """IS7: ETags are the tenant's own, also where id and version are the same in both."""
    mine = await gateway.client.post("/v1/contacts", json={"name": "Buyer"}, headers=gateway.acme.key())
    theirs = await _of_globex(gateway, name="Buyer")
    assert mine.headers["etag"] != theirs.headers["etag"]
    answer = await gateway.client.get(
        mine.headers["location"], headers=gateway.acme.key() | {"If-None-Match": theirs.headers["etag"]}
    )
    assert answer.status_code == 200


async def test_an_operator_has_no_tenants_data(gateway: Gateway) -> None:
    """AZ1: operators belong to no tenant."""
    for path in ("/v1/contacts", f"/v1/contacts/{show('contact', new_id())}"):
        assert (await gateway.client.get(path, headers=gateway.operator)).status_code == 403
