"""Many callers at once: no update is lost, no row is seen twice or missed."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.fixtures.gateways import Gateway

pytestmark = pytest.mark.anyio


async def _contact(gateway: Gateway, **body: Any) -> str:
    answer = await gateway.client.post("/v1/contacts", json={"name": "Ada"} | body, headers=gateway.acme.key())
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


async def test_of_many_updates_of_one_version_one_succeeds(gateway: Gateway) -> None:
    """DA4: the version is a condition of the UPDATE itself, so that nothing can come between."""
    path = await _contact(gateway)
    read = await gateway.client.get(path, headers=gateway.acme.key())
    headers = gateway.acme.key() | {"If-Match": read.headers["etag"]}
    answers = await asyncio.gather(
        *(gateway.client.patch(path, json={"value_cents": number}, headers=headers) for number in range(30))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 29}
    (made,) = [answer for answer in answers if answer.status_code == 200]
    assert (await gateway.client.get(path, headers=gateway.acme.key())).json() == made.json()


async def test_counting_with_if_match_loses_nothing(gateway: Gateway) -> None:
    """DA4: read, add one, write back, again when stale: every addition is there at the end."""
    path, key = await _contact(gateway), gateway.acme.key()

    async def add_one() -> int:
        attempts = 0
        while True:
            attempts += 1
            read = await gateway.client.get(path, headers=key)
            more = {"value_cents": read.json()["value_cents"] + 1}
            answer = await gateway.client.patch(path, json=more, headers=key | {"If-Match": read.headers["etag"]})
            if answer.status_code == 200:
                return attempts
            assert answer.status_code == 412

    attempts = await asyncio.gather(*(add_one() for _ in range(12)))
    assert (await gateway.client.get(path, headers=key)).json()["value_cents"] == 12
    assert sum(attempts) > 12, "nothing was ever stale: the test has tried nothing"


async def test_an_update_and_a_deletion_of_one_version_exclude_each_other(gateway: Gateway) -> None:
    """DA4: a caller who deletes what they have read does not delete what was written since."""
    for _ in range(10):
        path = await _contact(gateway)
        read = await gateway.client.get(path, headers=gateway.acme.key())
        headers = gateway.acme.key() | {"If-Match": read.headers["etag"]}
        changed, deleted = await asyncio.gather(
            gateway.client.patch(path, json={"notes": "x"}, headers=headers),
            gateway.client.delete(path, headers=headers),
        )
        assert (changed.status_code, deleted.status_code) in ((200, 412), (404, 204))


async def test_a_contact_is_not_deleted_under_a_deal(gateway: Gateway) -> None:
    """One of the two is refused; no deal refers to a missing contact."""
    key = gateway.acme.key()
    for _ in range(10):
        path = await _contact(gateway)
        deal = {"title": "Engine", "contact_id": path.rpartition("/")[2]}
        made, deleted = await asyncio.gather(
            gateway.client.post("/v1/deals", json=deal, headers=key), gateway.client.delete(path, headers=key)
        )
        assert (made.status_code, deleted.status_code) in ((201, 409), (422, 204))


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "name", "-company", "company"])
async def test_a_walk_sees_every_row_once_while_others_write(gateway: Gateway, sort: str) -> None:
    """DA3: rows that stay are seen exactly once and rows that come and go at most once, for orders that stay."""
    key = gateway.acme.key()
    bodies = [{"name": f"n{number % 3}", "company": f"c{number % 2}" if number % 3 else None} for number in range(30)]
    staying = {(await _contact(gateway, **body)).rpartition("/")[2] for body in bodies}
    finished = asyncio.Event()

    async def create_and_delete(number: int) -> None:
        while not finished.is_set():
            path = await _contact(gateway, name=f"n{number % 3}", company=f"c{number}")
            await gateway.client.patch(path, json={"notes": "x"}, headers=key)
            await gateway.client.delete(path, headers=key)

    async def change() -> None:
        while not finished.is_set():
            for row in sorted(staying):
                await gateway.client.patch(f"/v1/contacts/{row}", json={"value_cents": 1}, headers=key)

    writers = [
        asyncio.create_task(each)
        for each in (create_and_delete(0), create_and_delete(1), create_and_delete(2), change())
    ]
    try:
        seen = await _walk(gateway, sort)
    finally:
        finished.set()
        await asyncio.gather(*writers)
    assert max(seen.values()) == 1
    assert staying <= set(seen)


async def _walk(gateway: Gateway, sort: str) -> Counter[str]:
    seen, path = Counter[str](), f"/v1/contacts?limit=4&sort={sort}"
    page = (await gateway.client.get(path, headers=gateway.acme.key())).json()
    seen.update(row["id"] for row in page["data"])
    while page["has_more"] and len(seen) < 500:
        answer = await gateway.client.get(f"{path}&cursor={page['next_cursor']}", headers=gateway.acme.key())
        page = answer.json()
        seen.update(row["id"] for row in page["data"])
    return seen
