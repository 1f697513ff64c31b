"""Who gets an answer that another request has brought, and what cannot be slipped into it."""

from dataclasses import replace

import pytest

from gateway.request.fields import RequestFields
from tests.asgi import HOST, Header
from tests.unit.proxy.cache.worlds import World, cached, principal, status_of

pytestmark = pytest.mark.anyio

_PUBLIC = cached(b"public, max-age=60")


@pytest.mark.parametrize(
    ("shared_by", "other", "hit"),
    [
        ("principal", principal(1), True),
        ("principal", principal(2), False),
        ("principal", principal(1, roles=("member", "admin")), False),  # what it may see has changed
        ("principal", replace(principal(1), scopes=frozenset({"echo:use"})), False),
        ("roles", principal(2), True),
        ("roles", principal(2, roles=("viewer",)), False),
        ("roles", replace(principal(2), scopes=frozenset()), False),
        ("tenant", principal(2, roles=("viewer",)), True),
        ("principal", principal(1, tenant=2), False),
        ("roles", principal(1, tenant=2), False),
        ("tenant", principal(1, tenant=2), False),
    ],
)
async def test_who_shares_an_answer(shared_by: str, other: object, *, hit: bool) -> None:
    """IS1: never another tenant; others of a tenant as the route says."""
    world = World(cache={"shared_by": shared_by})
    world.upstream.headers = _PUBLIC
    await world.ask()
    await world.ask(who=other)  # type: ignore[arg-type]
    assert (world.upstream.calls == 1) is hit


async def test_a_connection_that_changes_its_principal_gets_its_own_answers() -> None:
    """What is parsed of a connection's fields is parsed again for another caller, or other rights."""
    world, fields = World(), RequestFields.of([HOST])
    world.upstream.headers = _PUBLIC
    for who in (principal(1), principal(2), principal(1)):
        await world.ask(who=who, fields=fields)
    assert [each.principal for each in world.upstream.seen] == [principal(1), principal(2)]


async def test_a_public_route_is_shared_by_those_without_a_credential() -> None:
    """Callers with a credential share among their tenant: the upstream may be the tenant's own."""
    world = World(access="public")
    world.upstream.headers = cached(b"max-age=60", (b"vary", b"Authorization"))
    await world.ask_publicly()
    await world.ask_publicly("/a", (b"user-agent", b"other"))
    assert world.upstream.calls == 1
    for who in (principal(1), principal(2), principal(3, tenant=2)):
        await world.ask(who=who)
    assert world.upstream.calls == 3


async def test_another_version_of_a_route_starts_anew() -> None:
    world = World()
    world.upstream.headers = _PUBLIC
    await world.ask()
    changed = world.route()
    assert (len(world.cache), world.cache.bytes) == (0, 0)
    await world.ask(app=changed)
    assert world.upstream.calls == 2
    assert status_of(await world.ask(app=changed)).startswith("hit")
    await world.ask()  # a request that was routed before the change
    assert world.upstream.calls == 3


@pytest.mark.parametrize(
    ("path", "raw_path", "query"),
    [
        ("/a", b"/%61", b""),
        ("/a", b"/a", b"q"),
        ("/a", b"/a", b"q="),
        ("/a", b"/a", b"a=1&b=2"),
        ("/a", b"/a", b"b=2&a=1"),
        ("/a", b"/a", b"a=1&a=1"),
        ("/a/", b"/a/", b""),
        ("/A", b"/A", b""),
        ("/a;x", b"/a;x", b""),
    ],
)
async def test_targets_are_one_only_if_every_byte_is(path: str, raw_path: bytes, query: bytes) -> None:
    """PX6: whatever an upstream makes of a target, another one has another answer."""
    world = World()
    world.upstream.headers = _PUBLIC
    await world.ask("/a")
    await world.ask(path, raw_path=raw_path, query=query)
    assert world.upstream.calls == 2
    await world.ask(path, raw_path=raw_path, query=query)
    assert world.upstream.calls == 2


@pytest.mark.parametrize(
    "field",
    [
        (b"x-http-method-override", b"DELETE"),
        (b"x_http_method_override", b"DELETE"),
        (b"x-original-url", b"/admin"),
        (b"x-rewrite-url", b"/admin"),
        (b"x-host", b"evil.test"),
        (b"content-length", b"5"),
        (b"transfer-encoding", b"chunked"),
        (b"range", b"bytes=0-1"),
        (b"if-range", b'"1"'),
        (b"if-match", b'"1"'),
        (b"if-unmodified-since", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (b"upgrade", b"websocket"),
        (b"connection", b"keep-alive, Accept"),  # the upstream gets no Accept, whatever Vary says
    ],
)
async def test_requests_that_no_key_covers_pass_by(field: Header) -> None:
    """Neither stored, nor answered from what is stored: a poisoned one concerns its sender alone."""
    world = World()
    world.upstream.headers = _PUBLIC
    assert status_of(await world.ask("/a", field)).startswith("fwd=bypass")
    assert len(world.cache) == 0
    await world.ask()
    assert status_of(await world.ask("/a", field)).startswith("fwd=bypass")
    assert world.upstream.calls == 3
    assert status_of(await world.ask()).startswith("hit")


async def test_cookies_that_the_upstream_gets_pass_by() -> None:
    world = World(forward_cookies=True)
    world.upstream.headers = _PUBLIC
    for _ in range(2):
        await world.ask("/a", (b"cookie", b"session=1"))
    assert (world.upstream.calls, len(world.cache)) == (2, 0)


async def test_what_the_upstream_writes_links_with_is_in_the_key() -> None:
    """A forged Host, or scheme, would be in the links of all answers."""
    world = World()
    world.upstream.headers = _PUBLIC
    await world.ask()
    scope_host: Header = (b"host", b"evil.test")
    await world.ask("/a", scope_host)  # the last one of two, which the server would have refused
    assert world.upstream.calls == 2
    assert status_of(await world.ask()).startswith("hit")
    # Not believed, so not seen by the upstream and not in the key.
    assert status_of(await world.ask("/a", (b"x-forwarded-host", b"evil.test"))).startswith("hit")


async def test_fields_of_an_exchange_are_not_given_to_others() -> None:
    """RFC 9111 section 3.1; ``private`` is added where nothing is said, for caches that do not know of X-API-Key."""
    world = World(cache={"default_seconds": 60})
    world.upstream.headers = [(b"server-timing", b"upstream;dur=1"), (b"age", b"1"), (b"x-own", b"1")]
    await world.ask()
    hit = await world.ask()
    names = [name for name, _ in hit.headers]
    assert names == [b"x-own", b"server", b"content-length", b"date", b"cache-control", b"cache-status", b"age"]
    assert (hit.header("age"), hit.header("cache-control"), hit.header("content-length")) == ("1", "private", "8")


async def test_an_unconfirmed_worker_uses_nothing_that_is_stored() -> None:
    """ID14: a purge that was answered meanwhile may not have arrived."""
    world = World()
    world.upstream.headers = _PUBLIC
    await world.ask()
    world.channel.confirmed_at = world.clock.now - 1.61
    assert status_of(await world.ask()) == "fwd=bypass"
    world.channel.confirmed_at = world.clock.now - 1.59
    assert status_of(await world.ask()).startswith("hit")


async def test_a_route_without_a_cache_is_the_forwarder_itself() -> None:
    """No cost where it is not asked for; and only unsafe methods concern what other routes have stored."""
    world = World()
    assert world.route(cache=None, invalidates=False) is world.upstream
    world.upstream.headers = _PUBLIC
    response = await world.ask(app=world.route(cache=None))
    assert response.header("cache-status") is None


@pytest.mark.parametrize(
    ("method", "status", "path", "tenant", "dropped"),
    [
        ("POST", 201, "/a", 1, True),
        ("PUT", 204, "/a", 1, True),
        ("DELETE", 303, "/a", 1, True),
        ("PATCH", 200, "/a", 1, True),
        ("POST", 400, "/a", 1, False),
        ("POST", 500, "/a", 1, False),
        ("OPTIONS", 200, "/a", 1, False),
        ("POST", 200, "/b", 1, False),
        ("POST", 200, "/a", 2, False),
    ],
)
async def test_an_unsafe_method_invalidates_its_target(
    method: str, status: int, path: str, tenant: int, *, dropped: bool
) -> None:
    """RFC 9111 section 4.4: all variants and principals of the tenant, by whichever route it comes."""
    both: tuple[dict[str, int] | None, ...] = ({}, None)
    for cache in both:
        world = World()
        other = world.route(name="other", cache=cache)
        world.upstream.headers = _PUBLIC
        await world.ask("/a", query=b"x=1")
        await world.ask("/a", who=principal(2))
        world.upstream.status = status
        await world.ask(path, method=method, who=principal(3, tenant=tenant), app=other)
        assert (len(world.cache) == 0) is dropped
