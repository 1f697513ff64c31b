"""The garbage collector does not visit long-lived objects again and again, and they are freed all the same."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from gateway.health import garbage
from gateway.health.garbage import GarbageWatch
from gateway.identity.cache import PrincipalCache
from gateway.identity.lookup import LookupResult
from tenants.database.listener import ChangeKind, Subscriber
from tenants.identifiers import TenantId, new_id
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus

_MANY = 5_000


class _Channel:
    confirmed_at = float("inf")

    def subscribe(self, subscriber: Subscriber) -> None:
        """Nothing changes."""


class _Slug(str):
    """A string that can be weakly referenced."""

    __slots__ = ("__weakref__",)


@pytest.fixture
def watch() -> Iterator[GarbageWatch]:
    watch = GarbageWatch()
    watch.start()
    yield watch
    watch.stop()
    gc.unfreeze()
    gc.collect()
    gc.freeze()  # as tests/fixtures/garbage.py


def _answer(slug: str, tenant: TenantId) -> LookupResult:
    reference = TenantRef(tenant, slug, TenantStatus.ACTIVE, f"t_{tenant.hex}", f"t_{tenant.hex}", "free")
    principal = Principal(PrincipalKind.API_KEY, new_id(), reference, (f"role {slug}",), user_id=new_id())
    return LookupResult(principal, (f"{ChangeKind.API_KEY} {slug}",), f"{ChangeKind.TENANT} {tenant}")


@pytest.mark.usefixtures("watch")
def test_a_slow_full_collection_is_the_last_to_visit_its_survivors(monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 cached principals would stop every request for 40 ms at each full collection."""
    monkeypatch.setattr(garbage, "_SLOW", 0.0)
    cache, tenant = PrincipalCache(_Channel()), TenantId(new_id())
    for number in range(_MANY):
        cache.keep(number.to_bytes(32), _answer(f"acme {number}", tenant), cache.begin_load())
    assert len(gc.get_objects()) > _MANY
    gc.collect()
    assert len(cache) == _MANY
    assert len(gc.get_objects()) < _MANY / 10


@pytest.mark.usefixtures("watch")
def test_a_quick_full_collection_freezes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects of requests in flight would otherwise be frozen again and again."""
    monkeypatch.setattr(garbage, "_SLOW", 60.0)
    frozen = gc.get_freeze_count()
    gc.collect()
    assert gc.get_freeze_count() <= frozen


@pytest.mark.usefixtures("watch")
def test_a_frozen_principal_is_freed_when_the_cache_drops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "_SLOW", 0.0)
    cache = PrincipalCache(_Channel())
    slug = _Slug("acme")
    seen = weakref.ref(slug)
    assert cache.keep(bytes(32), _answer(slug, TenantId(new_id())), cache.begin_load())
    del slug
    gc.collect()
    assert seen() is not None
    cache.on_change(ChangeKind.API_KEY, "acme")
    assert seen() is None


class _Node:
    """Refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def in_charge(watch: GarbageWatch) -> GarbageWatch:
    """Runs the full collections of this process."""
    watch.take_over()
    return watch


def _middle_collections(count: int) -> None:
    for _ in range(count):
        gc.collect(1)


def _old_garbage() -> "weakref.ref[_Node]":
    """A cycle that has survived two young collections, so that only a full one frees it."""
    node = _Node()
    gc.collect(0)
    gc.collect(1)
    return weakref.ref(node)


def _full_collections() -> int:
    collected: int = gc.get_stats()[2]["collections"]
    return collected


@pytest.mark.usefixtures("in_charge")
def test_no_allocation_starts_a_full_collection() -> None:
    """LD4: CPython would start one within a request, after some 77,000 new objects."""
    before = _full_collections()
    kept: list[list[int]] = [[] for _ in range(400_000)]
    assert _full_collections() == before
    del kept


def test_garbage_of_old_objects_is_collected_between_requests(in_charge: GarbageWatch) -> None:
    """LD4: as soon as no request is in flight."""
    seen = _old_garbage()
    in_charge.collect_if_due(idle=True)
    assert seen() is not None  # nothing is due after one collection
    _middle_collections(1)
    in_charge.collect_if_due(idle=False)
    assert seen() is not None
    in_charge.collect_if_due(idle=True)
    assert seen() is None


def test_a_worker_that_is_never_idle_collects_before_there_is_much(in_charge: GarbageWatch) -> None:
    """LD4: a leak of cycles is collected under any load, while few objects are to be visited."""
    seen = _old_garbage()
    _middle_collections(garbage._OVERDUE - 2)
    in_charge.collect_if_due(idle=False)
    assert seen() is not None
    _middle_collections(1)
    in_charge.collect_if_due(idle=False)
    assert seen() is None


def test_the_next_full_collection_is_due_only_after_more_young_ones(in_charge: GarbageWatch) -> None:
    """An idle worker does not collect again and again."""
    _middle_collections(garbage._DUE)
    in_charge.collect_if_due(idle=True)
    before = _full_collections()
    for _ in range(100):
        in_charge.collect_if_due(idle=True)
    assert _full_collections() == before


def test_frozen_garbage_is_collected_in_a_quiet_time(in_charge: GarbageWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """LD4: what a request held when a collection froze it, and left as a cycle, is not kept for ever."""
    monkeypatch.setattr(garbage, "_SLOW", 0.0)
    node = _Node()
    seen = weakref.ref(node)
    gc.collect()  # slow: freezes its survivors
    del node
    monkeypatch.setattr(garbage, "_SLOW", 60.0)
    _middle_collections(garbage._DUE)
    in_charge.collect_if_due(idle=True)
    assert seen() is not None
    monkeypatch.setattr(garbage, "_QUIET", -1.0)
    monkeypatch.setattr(garbage, "_MANY_TIMES", 1)
    in_charge.collect_if_due(idle=False)
    assert seen() is not None
    in_charge.collect_if_due(idle=True)
    assert seen() is None


def test_the_start_up_is_not_a_long_collection_and_ends_frozen(watch: GarbageWatch) -> None:
    """What is loaded by then is visited by no collection."""
    gc.collect()
    watch.take_over()
    assert watch.longest == [0.0, 0.0, 0.0]
    assert len(gc.get_objects()) < 1_000
    gc.collect()
    assert 0 < watch.longest[2] < 1


def test_cpython_collects_by_itself_again_after_the_end() -> None:
    """Tests, and what embeds a gateway."""
    before = gc.get_threshold()
    watch = GarbageWatch()
    watch.start()
    watch.take_over()
    assert gc.get_threshold()[2] > 1_000_000
    watch.stop()
    assert gc.get_threshold() == before
