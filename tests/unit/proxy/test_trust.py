"""``Trust``: routes that may have been taken away are not used when the change has been answered."""

from dataclasses import dataclass

import pytest

from gateway.proxy.trust import Trust
from tenants.database.confirmations import BOUND
from tenants.database.listener import TRUSTED_FOR


@dataclass
class World:
    """A listener and a clock."""

    now: float = 100.0
    confirmed_at: float = float("-inf")

    def __post_init__(self) -> None:
        self.trust = Trust(self, lambda: self.now)

    def read(self) -> None:
        self.trust.applied(self.trust.begin())

    @property
    def usable(self) -> bool:
        """As requests ask: ``renew`` only when ``until`` is over."""
        return self.now < self.trust.until or self.trust.renew()


@pytest.fixture
def world() -> World:
    return World()


def test_routes_are_used_for_a_time_after_a_reading_or_a_confirmation(world: World) -> None:
    """ID14, OP3: while PostgreSQL is down, that time and no longer; shorter than a change is waited for."""
    assert not world.usable
    world.read()
    world.now += TRUSTED_FOR - 0.01
    assert world.usable
    world.confirmed_at = world.now
    world.now += TRUSTED_FOR - 0.01
    assert world.usable
    world.now += 0.02
    assert not world.usable
    world.read()
    assert world.usable
    assert TRUSTED_FOR < BOUND


def test_a_change_that_is_not_applied_ends_that_time(world: World) -> None:
    """ID14: although the listener goes on confirming; the first of several changes counts."""
    world.read()
    assert world.usable
    world.trust.changed()
    world.now += TRUSTED_FOR - 0.01
    world.confirmed_at = world.now
    world.trust.changed()
    assert world.usable
    world.now += 0.02
    world.confirmed_at = world.now
    assert not world.usable
    world.read()
    assert world.usable


def test_a_change_during_a_reading_may_not_be_in_it(world: World) -> None:
    """ID14: what was read before the change is applied, and the change is still awaited."""
    read_at = world.trust.begin()
    world.now += 0.5
    world.trust.changed()
    world.trust.applied(read_at)
    world.confirmed_at = world.now + TRUSTED_FOR
    world.now += TRUSTED_FOR - 0.01
    assert world.usable
    world.now += 0.02
    assert not world.usable
