"""What thousands of requests of all kinds leave in a worker: objects that the collector visits, and garbage for it."""

import gc
from collections.abc import Iterable
from itertools import islice

import pytest
from hypothesis import settings
from starlette.types import ASGIApp

from benchmarks.mixture import KINDS, Mixture
from tests.asgi import Response, call, http_scope
from tests.fixtures.gateways import PASSWORD, Gateway

pytestmark = pytest.mark.anyio

_SOAK = (settings.default or settings()).max_examples // 100  # 1 in the suite, 50 with `make soak`
_REQUESTS = 1_000 * _SOAK
_MOST_OBJECTS = 15_000  # more than after as many requests before; a cached shape of a list alone was 270
_SAME, _TRIES = 20, 4  # requests of one kind; what the gateway does in the background leaves garbage only now and then
# SQLAlchemy's own, each time that it compiles a statement or flushes an object.
_NOT_OURS = {"_add_key", "_usage", "_sign_in", "_shaped"}


@pytest.fixture
async def mixture(gateway: Gateway) -> Mixture:
    """The requests of ``benchmarks/mixture.py`` to this gateway."""
    key, client = gateway.globex.key("admin"), gateway.client
    contact = (await client.post("/v1/contacts", json={"name": "Ada"}, headers=key)).json()["id"]
    person = {"email": gateway.globex.emails["admin"], "password": PASSWORD, "tenant": "globex"}
    token = (await client.post("/v1/auth/login", json=person)).json()["access_token"]
    return Mixture("http://gateway.test", key, [key["X-API-Key"]], token, contact)


async def _answer(app: ASGIApp, request: bytes) -> Response:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, target, _ = first.decode().split(" ")
    path, _, query = target.partition("?")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    return await call(app, http_scope(method, path, headers=headers, query=query.encode()), [body])


async def _statuses(app: ASGIApp, requests: Iterable[bytes]) -> set[int]:
    return {(await _answer(app, each)).status for each in requests}


def _container_objects() -> int:
    """Those that are reachable, frozen or not."""
    gc.collect()
    return len(gc.get_objects()) + gc.get_freeze_count()


async def test_requests_of_all_kinds_leave_few_objects(gateway: Gateway, mixture: Mixture) -> None:
    """LD4: lists of new shapes, updates of new sets of fields, unknown keys and paths, sign-ins, invalid input."""
    requests = mixture.requests()
    await _statuses(gateway.app, islice(requests, 500))
    before = _container_objects()
    statuses = await _statuses(gateway.app, islice(requests, _REQUESTS))
    assert _container_objects() - before < _MOST_OBJECTS
    assert {200, 201, 400, 401, 404, 405, 422} <= statuses
    assert max(statuses) < 500


async def _garbage(app: ASGIApp, requests: list[bytes]) -> int:
    """The number of objects that only the collector frees, with those of what runs in the background."""
    gc.collect()
    gc.disable()
    try:
        await _statuses(app, requests)
        return gc.collect()
    finally:
        gc.enable()


async def test_requests_leave_no_reference_cycles(gateway: Gateway, mixture: Mixture) -> None:
    """LD4: also those that are refused; an error refers to the frames that raised it."""
    for kind in KINDS:
        if kind.__name__ in _NOT_OURS:
            continue
        for _ in range(_TRIES):
            found = await _garbage(gateway.app, [kind(mixture) for _ in range(_SAME)])
            if found < _SAME:
                break
        else:
            pytest.fail(f"{_SAME} requests of the kind {kind.__name__} left {found} objects")
