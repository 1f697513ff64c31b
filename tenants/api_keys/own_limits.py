"""Changes of the limits that a key was given itself, and of all keys that these bind (ID16).

A key's limits bind its family: successors and children are charged to the same counters. Such a limit is one limit,
wherever it binds. So a change of it is a change for all of them: none keeps more than the key has now, and all stay
counted together, over the counter that has counted so far.

Limits that a key has from others (its maker, the makers of that) are not its own, and are never changed here. Those of
the keys that it replaces are its own. A limit that was given to a descendant stays that one's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from tenants.api_keys.family import bind, binding_windows
from tenants.api_keys.models import ApiKey
from tenants.api_keys.schemas import KeyLimit
from tenants.identifiers import ApiKeyId
from tenants.principal import Window


@dataclass(frozen=True, slots=True)
class LimitsChange:
    """The limits that were given to keys of one line, and those that take their place."""

    keys: frozenset[ApiKeyId]  # the key, and those that it replaces
    renewed: tuple[Window, ...]

    @classmethod
    def of(cls, key: ApiKey, requested: Sequence[KeyLimit], line: frozenset[ApiKeyId]) -> Self:
        """``line`` is the key and those that it replaces."""
        counters = {each.hex for each in line}
        own = [each for each in windows_of(key) if each.counter in counters]
        return cls(line, tuple(_renewed(each, own, key.id) for each in requested))

    def apply(self, key: ApiKey) -> None:
        """Change the limits of the key itself, or of one that is bound by them. Raises TooManyLimits."""
        counters = {each.hex for each in self.keys}
        kept = [each for each in _all_windows(key) if each.counter not in counters]
        bind(key, dict.fromkeys((*self.renewed, *kept)))
        key.limits = _shown(windows_of(key))


def windows_of(key: ApiKey) -> tuple[Window, ...]:
    """The windows that bind the key."""
    return binding_windows(key.id, key.limits, key.binding_limits)


def _renewed(limit: KeyLimit, own: Sequence[Window], key: ApiKeyId) -> Window:
    """Over the counter that it had, so that what it has counted still counts."""
    same_length = [each for each in own if each.seconds == limit.window_seconds]
    prior = next((each for each in same_length if each.name == limit.name), None) or next(iter(same_length), None)
    return Window(limit.name, limit.quota, limit.window_seconds, prior.counter if prior else key.hex)


def _all_windows(key: ApiKey) -> tuple[Window, ...]:
    """With the limits that releases before this one did not bind, since an inherited one was tighter then."""
    windows = windows_of(key)
    bound = {(each.name, each.quota, each.seconds) for each in windows}
    shown = (Window(each["name"], each["quota"], each["window_seconds"], key.id.hex) for each in key.limits)
    return (*(each for each in shown if (each.name, each.quota, each.seconds) not in bound), *windows)


def _shown(windows: Iterable[Window]) -> list[dict[str, Any]]:
    """The tightest of each name."""
    tightest: dict[str, Window] = {}
    for each in windows:
        known = tightest.setdefault(each.name, each)
        if each.quota < known.quota:
            tightest[each.name] = each
    return [{"name": each.name, "quota": each.quota, "window_seconds": each.seconds} for each in tightest.values()]
