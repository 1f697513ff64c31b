"""Cached principals are excluded from garbage collections, and freed by reference counting."""

import gc
import weakref

from gateway.health.garbage import exempt
from gateway.identity.answer import Answer
from gateway.identity.cache import PrincipalCache
from tenants.database.listener import ChangeKind, Subscriber
from tenants.identifiers import TenantId, new_id
from tenants.principal import Principal, PrincipalKind, TenantRef, TenantStatus

_MANY = 5_000
_TENANTS = 50


class _Channel:
    confirmed_at = float("inf")

    def subscribe(self, subscriber: Subscriber) -> None:
        """Nothing changes."""


class _Slug(str):
    """A string that supports weak references."""

    __slots__ = ("__weakref__",)


def _answer(slug: str, tenant: TenantId) -> Answer:
    reference = TenantRef(tenant, slug, TenantStatus.ACTIVE, f"t_{tenant.hex}", f"t_{tenant.hex}", "free")
    principal = Principal(PrincipalKind.API_KEY, new_id(), reference, (f"role {slug}",), user_id=new_id())
    return Answer(principal, (f"{ChangeKind.API_KEY} {slug}",), f"{ChangeKind.TENANT} {tenant}")


def test_a_full_collection_skips_cached_principals() -> None:
    """100,000 of them would make a full collection take 200 ms."""
    cache = PrincipalCache(_Channel())
    gc.collect()
    before = len(gc.get_objects())
    tenants = [TenantId(new_id()) for _ in range(_TENANTS)]
    for number in range(_MANY):
        cache.keep(number.to_bytes(32), _answer(f"acme {number}", tenants[number % _TENANTS]), cache.moment())
    assert len(cache) == _MANY
    gc.collect()
    assert len(gc.get_objects()) - before < _MANY / 10


def test_an_evicted_principal_is_freed_at_once() -> None:
    cache = PrincipalCache(_Channel())
    slug = _Slug("acme")
    seen = weakref.ref(slug)
    assert cache.keep(bytes(32), _answer(slug, TenantId(new_id())), cache.moment())
    del slug
    assert seen() is not None
    cache.on_change(ChangeKind.API_KEY, "acme")
    assert seen() is None


def test_exempting_untracked_objects_is_safe() -> None:
    """The C function alone would read memory before the object that is not the collector's."""
    exempt("word", 1, None, b"bytes", 1.5)
    some: list[int] = []
    exempt(some, some)
    assert not gc.is_tracked(some)
    some.append(1)
    assert some == [1]
