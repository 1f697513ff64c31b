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
