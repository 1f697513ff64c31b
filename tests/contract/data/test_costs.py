"""What a resource's verbs cost, from its declaration to the tenant's windows, its usage and the document."""

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from gateway.request.route import PUBLIC, Route
from gateway.routing.routes import costs
from tests.asgi import respond_ok
from tests.fixtures.databases import copy_database
from tests.fixtures.dear import DEAR
from tests.fixtures.everything import create_tables
from tests.fixtures.gateways import Gateway, Template, running_gateway

pytestmark = pytest.mark.anyio

_PATH = "/v1/things"


@pytest.fixture
async def dear(gateway_template: Template) -> AsyncIterator[Gateway]:
    """A gateway whose list costs 5 and whose create costs 2."""
    with ExitStack() as stack:
        urls = copy_database(gateway_template.urls, stack)
        create_tables(urls.owner, [gateway_template.acme.ref])
        async with running_gateway(gateway_template, urls, resources=DEAR) as opened:
            yield opened


async def _allow(gateway: Gateway, *windows: tuple[str, int, int]) -> None:
    limits = [{"name": name, "quota": quota, "window_seconds": seconds} for name, quota, seconds in windows]
    path = "/operator/v1/plans/scale"
    (await gateway.client.patch(path, json={"windows": limits}, headers=gateway.operator)).raise_for_status()
    await gateway.catch_up()
    while [(each.name, each.quota, each.seconds) for each in gateway.services.plan_book.plan("scale").windows] != [
        *windows
    ]:
        await gateway.services.plan_book.load()


async def _list(gateway: Gateway) -> httpx.Response:
    return await gateway.client.get(_PATH, headers=gateway.acme.key())


def _left(answers: Sequence[httpx.Response]) -> list[int]:
    return [int(answer.headers["ratelimit"].split(";")[1].removeprefix("r=")) for answer in answers]


async def test_a_request_takes_as_many_tokens_as_its_verb_costs(dear: Gateway) -> None:
    """All windows or none: what does not fit is refused whole, and what is cheaper still fits."""
    await _allow(dear, ("day", 14, 86_400))
    made = await dear.client.post(_PATH, json={"name": "x"}, headers=dear.acme.key())
    answers = [made, await _list(dear), await _list(dear), await _list(dear)]
    read = await dear.client.get(made.headers["location"], headers=dear.acme.key())
    assert [answer.status_code for answer in (*answers, read)] == [201, 200, 200, 429, 200]
    assert _left([*answers, read]) == [12, 7, 2, 2, 1]
    assert answers[3].json()["code"] == "rate_limited"


async def test_what_costs_more_than_any_wait_would_give_is_refused_for_what_it_is(dear: Gateway) -> None:
    """TH6: 429 would promise that it succeeds after Retry-After; it needs another plan, or a key with wider limits."""
    await _allow(dear, ("burst", 4, 1), ("day", 100, 86_400))
    refused = await _list(dear)
    assert (refused.status_code, refused.json()["code"]) == (403, "entitlement_required")
    assert "retry-after" not in refused.headers
    assert refused.headers["ratelimit-policy"] == '"burst";q=4;w=1, "day";q=100;w=86400'
    assert _left([refused]) == [4]
    assert (await dear.client.get(refused.json()["type"])).status_code == 200
    await _allow(dear, ("burst", 5, 1), ("day", 100, 86_400))
    assert (await _list(dear)).status_code == 200


async def test_the_usage_counts_the_cost_of_what_was_admitted(dear: Gateway) -> None:
    """What was refused for its cost is in no usage."""
    for _ in range(2):
        assert (await _list(dear)).status_code == 200
    await _allow(dear, ("burst", 4, 1), ("day", 100, 86_400))
    assert (await _list(dear)).status_code == 403
    await _allow(dear, ("burst", 1000, 1))
    dear.services.usage.journal.finish_current()
    await dear.services.usage.flusher.round()
    used = (await dear.client.get("/v1/usage", headers=dear.acme.key("owner"))).json()["data"]
    assert [sum(each[what] for each in used) for what in ("requests", "cost")] == [2, 10]


async def test_the_document_tells_what_each_operation_costs(dear: Gateway) -> None:
    """An integrator can reckon how far a plan goes."""
    paths = (await dear.client.get("/openapi.json")).json()["paths"]
    assert [paths[_PATH][verb]["x-cost"] for verb in ("get", "post")] == [5, 2]
    assert [paths[f"{_PATH}/{{id}}"][verb]["x-cost"] for verb in ("get", "patch", "delete")] == [1, 1, 1]
    assert "Counts as 5 requests." in paths[_PATH]["get"]["description"]
    assert paths["/v1/me"]["get"]["x-cost"] == 1
    assert "x-cost" not in paths["/operator/v1/plans"]["get"]


@pytest.mark.parametrize("cost", [0, -1, 1024, 1.5, True, "5"])
def test_no_route_is_made_with_a_cost_that_cannot_be_counted(cost: Any) -> None:
    """Else it would be free, or break the journal of what was used."""
    assert costs(cost) == {"x-cost": cost}
    with pytest.raises(ValueError, match="may cost 1 to 1023"):
        Route("GET", "/v1/export", PUBLIC, respond_ok, cost)
