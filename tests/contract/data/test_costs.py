"""The declared cost of a verb is charged to the tenant's windows, counted in its usage, and documented."""

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack

import httpx
import pytest

from tests.fixtures.costly_things import COSTLY_THINGS
from tests.fixtures.databases import copy_database
from tests.fixtures.everything import create_tables
from tests.fixtures.gateways import Gateway, Template, running_gateway

pytestmark = pytest.mark.anyio

_PATH = "/v1/things"


@pytest.fixture
async def costly(gateway_template: Template) -> AsyncIterator[Gateway]:
    """A gateway whose list costs 5 and whose create costs 2."""
    with ExitStack() as stack:
        urls = copy_database(gateway_template.urls, stack)
        create_tables(urls.owner, [gateway_template.acme.ref])
        async with running_gateway(gateway_template, urls, resources=COSTLY_THINGS) as opened:
            yield opened


async def _allow(gateway: Gateway, *windows: tuple[str, int, int]) -> None:
    limits = [{"name": name, "quota": quota, "window_seconds": seconds} for name, quota, seconds in windows]
    path = "/operator/v1/plans/scale"
    (await gateway.client.patch(path, json={"windows": limits}, headers=gateway.operator)).raise_for_status()
    await gateway.catch_up()
    while [(each.name, each.quota, each.seconds) for each in gateway.services.plan_cache.plan("scale").windows] != [
        *windows
    ]:
        await gateway.services.plan_cache.load()


async def _list(gateway: Gateway) -> httpx.Response:
    return await gateway.client.get(_PATH, headers=gateway.acme.key())


def _remaining(answers: Sequence[httpx.Response]) -> list[int]:
    return [int(answer.headers["ratelimit"].split(";")[1].removeprefix("r=")) for answer in answers]


async def test_a_request_takes_as_many_tokens_as_its_verb_costs(costly: Gateway) -> None:
    """All windows or none: a request that does not fit takes nothing, and a cheaper one still fits."""
    await _allow(costly, ("day", 14, 86_400))
    made = await costly.client.post(_PATH, json={"name": "x"}, headers=costly.acme.key())
    answers = [made, await _list(costly), await _list(costly), await _list(costly)]
    read = await costly.client.get(made.headers["location"], headers=costly.acme.key())
    assert [answer.status_code for answer in (*answers, read)] == [201, 200, 200, 429, 200]
    assert _remaining([*answers, read]) == [12, 7, 2, 2, 1]
    assert answers[3].json()["code"] == "rate_limited"


async def test_a_cost_beyond_every_window_is_refused_as_an_entitlement(costly: Gateway) -> None:
    """TH6: 429 would promise success after Retry-After; only another plan, or a key with wider limits, allows it."""
    await _allow(costly, ("burst", 4, 1), ("day", 100, 86_400))
    refused = await _list(costly)
    assert (refused.status_code, refused.json()["code"]) == (403, "entitlement_required")
    assert "retry-after" not in refused.headers
    assert refused.headers["ratelimit-policy"] == '"burst";q=4;w=1, "day";q=100;w=86400'
    assert _remaining([refused]) == [4]
    assert (await costly.client.get(refused.json()["type"])).status_code == 200
    await _allow(costly, ("burst", 5, 1), ("day", 100, 86_400))
    assert (await _list(costly)).status_code == 200


async def test_usage_counts_the_cost_of_admitted_requests(costly: Gateway) -> None:
    """A request that is refused for its cost is in no usage."""
    for _ in range(2):
        assert (await _list(costly)).status_code == 200
    await _allow(costly, ("burst", 4, 1), ("day", 100, 86_400))
    assert (await _list(costly)).status_code == 403
    await _allow(costly, ("burst", 1000, 1))
    costly.services.usage.journal.finish_current()
    await costly.services.usage.flusher.round()
    used = (await costly.client.get("/v1/usage", headers=costly.acme.key("owner"))).json()["data"]
    assert [sum(each[what] for each in used) for what in ("requests", "cost")] == [2, 10]


async def test_the_document_names_the_cost_of_each_operation(costly: Gateway) -> None:
    """An integrator can calculate how many requests a plan allows."""
    paths = (await costly.client.get("/openapi.json")).json()["paths"]
    assert [paths[_PATH][verb]["x-cost"] for verb in ("get", "post")] == [5, 2]
    assert [paths[f"{_PATH}/{{id}}"][verb]["x-cost"] for verb in ("get", "patch", "delete")] == [1, 1, 1]
    assert "Counts as 5 requests." in paths[_PATH]["get"]["description"]
    assert paths["/v1/me"]["get"]["x-cost"] == 1
    operators = (await costly.client.get("/operator/openapi.json")).json()["paths"]
    assert "x-cost" not in operators["/operator/v1/plans"]["get"]
