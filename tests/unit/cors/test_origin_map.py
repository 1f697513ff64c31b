"""The origins of all tenants in memory."""

import random

from gateway.cors.origin_map import OriginMap
from tenants.identifiers import TenantId, new_id

_A, _B = TenantId(new_id()), TenantId(new_id())


def test_an_origin_stays_known_as_long_as_a_tenant_allows_it() -> None:
    """Against plain sets, over 2,000 random changes."""
    choice, found = random.Random(1), OriginMap()  # noqa: S311 - repeatable on purpose
    tenants = [TenantId(new_id()) for _ in range(5)]
    names = [f"https://{number}.example" for number in range(6)]
    expected: dict[TenantId, set[str]] = {tenant: set() for tenant in tenants}
    for _ in range(2_000):
        tenant = choice.choice(tenants)
        expected[tenant] = set(choice.sample(names, choice.randrange(4)))
        found.put(tenant, expected[tenant])
        for name in names:
            assert found.anyone_allows(name.encode()) == any(name in each for each in expected.values())
            assert all(found.allows(each, name.encode()) == (name in expected[each]) for each in tenants)


def test_the_origins_of_further_tenants_stay_closed() -> None:
    """The memory is bounded; a tenant that finds no place has no origin rather than some."""
    found = OriginMap(most=3)
    found.put(_A, ["https://a.example", "https://b.example"])
    found.put(_B, ["https://c.example", "https://d.example"])
    assert not found.anyone_allows(b"https://c.example")
    assert found.left_out == 1
    found.put(_A, [])
    found.put(_B, ["https://c.example", "https://d.example"])
    assert found.allows(_B, b"https://d.example")
