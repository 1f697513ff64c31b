"""``LiveRoutes``: one version or another, never a part of each; what cannot be served; permissions that come and go."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.types import ASGIApp

from gateway.proxy import live
from gateway.proxy.compiled import Parts, RouteUnavailable
from gateway.proxy.live import LiveRoutes
from gateway.request.route import Route
from tenants.database.listener import ChangeKind, ChangeListener
from tenants.errors import NotFound
from tenants.roles.permissions import Grade, catalogue
from tenants.roles.vocabulary import CurrentPermissions
from tenants.routes.schemas import Configuration, RouteSpec
from tenants.routes.service import Version
from tenants.settings import DatabaseSettings
from tests.asgi import respond_ok

pytestmark = pytest.mark.anyio

_UNREACHABLE = DatabaseSettings(url="postgresql://nobody:hunter2@127.0.0.1:1/none")


@dataclass
class World:
    """A stored version, and a worker that follows it."""

    stored: Version | Exception = field(default_factory=lambda: Version(1, Configuration()))
    missing: set[str] = field(default_factory=set)  # routes of which a file is missing
    forgotten: int = 0  # times that all principals were
    permissions: CurrentPermissions = field(default_factory=lambda: CurrentPermissions(catalogue(["contacts"])))

    def __post_init__(self) -> None:
        self.listener = ChangeListener(_UNREACHABLE)
        self.routes = LiveRoutes(self._read, self.listener, self.permissions, self, self._forget)

    def prepare(self, _configuration: Configuration) -> "World":
        return self

    def parts_of(self, _spec: RouteSpec) -> Parts:
        return ()

    def make(self, spec: RouteSpec) -> ASGIApp:
        if spec.name in self.missing:
            raise FileNotFoundError(2, "No such file", "/secrets/token")
        return respond_ok

    def store(self, number: int, *routes: dict[str, Any]) -> None:
        """Put a version into the database, without a notice."""
        defaults = {"upstream": "echo", "permission": "echo:use"}
        self.stored = Version(number, Configuration.model_validate({"routes": [defaults | each for each in routes]}))

    async def notify(self) -> None:
        """As the listener does, and as it waits before it confirms a change."""
        self.listener._publish(ChangeKind.ROUTES, "")
        async with asyncio.timeout(5):
            await self.routes._reloading.settled()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.01)

    def find(self, path: str, method: str = "GET") -> Route:
        return self.routes.find(method, path, "")

    async def answer(self, path: str) -> str:
        """``served``, or the code of the refusal."""
        try:
            await self.find(path).app({"type": "http"}, _nothing, _nothing)
        except (RouteUnavailable, NotFound) as error:
            return error.code
        return "served"

    async def _read(self) -> Version:
        if isinstance(self.stored, Exception):
            raise self.stored
        return self.stored

    def _forget(self) -> None:
        self.forgotten += 1


@asynccontextmanager
async def _running(*routes: dict[str, Any]) -> AsyncIterator[World]:
    world = World()
    world.store(1, *routes)
    await world.routes.start()
    await world.until(lambda: bool(world.routes.loads))
    try:
        yield world
    finally:
        await world.routes.close()


async def test_no_request_sees_a_part_of_a_version() -> None:
    """Two routes that must agree do so at every step of the event loop, while 500 routes are compiled."""
    names = [f"r{number}" for number in range(500)]

    def version(cost: int) -> list[dict[str, Any]]:
        return [{"name": name, "path": f"/{name}", "cost": cost} for name in names]

    async with _running(*version(1)) as world:
        seen: list[int] = []
        for number in range(2, 5):
            world.store(number, *version(number))
            waiting = asyncio.ensure_future(world.notify())
            while not waiting.done():
                costs = {world.find(f"/{name}").terms.cost for name in (names[0], names[250], names[-1])}
                assert len(costs) == 1
                seen += costs
                await asyncio.sleep(0)
        assert seen == sorted(seen)
        assert len(seen) > 3 * 500 / 20  # the loop was not held meanwhile (LD1)


async def test_what_has_not_changed_stays_the_same_object() -> None:
    """Caches, connections and counts of a route go on when another one changes."""
    async with _running({"name": "a", "path": "/a"}, {"name": "b", "path": "/b"}) as world:
        before = world.find("/a"), world.find("/b")
        world.store(2, {"name": "a", "path": "/a"}, {"name": "b", "path": "/b", "cost": 2})
        await world.notify()
        assert world.find("/a") is before[0]
        assert world.find("/b") is not before[1]
        assert [world.routes.in_force(each) for each in before] == [True, False]
        assert (world.routes.version, world.routes.loads) == (2, 2)


async def test_nothing_is_unknown_before_the_first_version() -> None:
    """A worker that has just started must not say that a route does not exist."""
    world = World()
    assert await world.answer("/a") == "unavailable"
    assert not world.routes.is_loaded
    await world.routes.wait_until_loaded(0.01)  # does not wait for ever
    await world.routes.start()
    await world.routes.wait_until_loaded(5)
    assert await world.answer("/a") == "not_found"
    await world.routes.close()


async def test_a_route_of_which_a_file_is_missing_is_unavailable_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """ID14: the guard of the new version is in force all the same, and the worker confirms it."""
    monkeypatch.setattr(live, "_RETRY", 0.05)
    routes = [{"name": "a", "path": "/a"}, {"name": "b", "path": "/b"}]
    async with _running(*routes) as world:
        world.missing = {"a"}
        world.store(2, *(each | {"permission": "echo:admin"} for each in routes))
        await world.notify()
        assert [await world.answer(path) for path in ("/a", "/b")] == ["unavailable", "served"]
        assert {world.find(path).terms.guard.permission for path in ("/a", "/b")} == {"echo:admin"}
        assert (list(world.routes.faults), world.routes.unavailable) == (["a"], 1)
        world.missing = set()  # the file arrives, and nothing else happens
        await world.until(lambda: not world.routes.faults)
        assert await world.answer("/a") == "served"


async def test_a_version_that_cannot_be_read_closes_all_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """ID14: it may have taken rights away. OP4: a later release has written it; the next one is read again."""
    monkeypatch.setattr(live, "_RETRY", 0.05)
    async with _running({"name": "a", "path": "/a"}) as world:
        try:
            Configuration.model_validate({"routes": [{"name": "a", "unknown": 1}]})
        except ValidationError as error:
            world.stored = error
        await world.notify()
        assert await world.answer("/a") == "unavailable"
        assert (world.routes.is_loaded, world.routes.unavailable) == (False, 1)
        world.store(3, {"name": "a", "path": "/a"})
        await world.until(lambda: world.routes.is_loaded)
        assert await world.answer("/a") == "served"


async def test_routes_stay_while_the_database_is_down() -> None:
    """OP3: as the plans do. The worker does not confirm changes meanwhile (ID14)."""
    async with _running({"name": "a", "path": "/a"}) as world:
        world.stored = OSError("no connection")
        world.listener._publish(ChangeKind.ROUTES, "")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await world.routes._reloading.settled()
        assert await world.answer("/a") == "served"


async def test_permissions_come_and_go_with_the_routes() -> None:
    """AZ1: by grade, from the methods; principals are loaded again when, and only when, permissions change."""
    get = {"name": "a", "path": "/a", "methods": ["GET"], "permission": "echo:read"}
    async with _running(get) as world:
        vocabulary = world.permissions.vocabulary
        assert "echo:read" in vocabulary.built_in["viewer"]
        assert world.forgotten == 1
        world.store(2, get | {"cost": 2})
        await world.notify()
        assert (world.forgotten, world.permissions.vocabulary) == (1, vocabulary)
        world.store(3, get | {"methods": ["GET", "POST"]}, {"name": "b", "path": "/b", "permission": "b:use"} | _OWNERS)
        await world.notify()
        held = {role: {"echo:read", "b:use"} & names for role, names in world.permissions.vocabulary.built_in.items()}
        assert held == {
            "owner": {"echo:read", "b:use"},
            "admin": {"echo:read"},
            "member": {"echo:read"},
            "viewer": set(),
        }
        assert world.permissions.vocabulary.policy.revision != vocabulary.policy.revision
        world.store(4)
        await world.notify()
        assert world.permissions.names == {each.name for each in world.permissions.fixed}
        assert world.forgotten == 3


_OWNERS = {"grade": Grade.OWN.value}


async def _nothing(*_: object) -> Any: ...
