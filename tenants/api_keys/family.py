"""The family of a key: its successors, and the keys that it has made, directly or through others (ID16).

A key's limits bind its family: each of its successors and children is charged to the very counters of the limits that
its predecessor or its maker has. Otherwise a key could leave a limit behind by rotating itself or by making others. A
key keeps all limits that bind it, with the keys that they count for. So no look-up follows a line of ancestors, and
ending one of them frees none of the others.

For management requests, the keys that a key has made count as one, however many it makes, and apart from that key: a
leaked key cannot multiply its share, and no key can use up the share of the one that has made it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tenants.api_keys.models import ApiKey
from tenants.api_keys.schemas import KeyLimit
from tenants.errors import Conflict
from tenants.identifiers import ApiKeyId
from tenants.principal import Window

MOST_LIMITS = 10  # that bind a key: bounds what each of its requests costs, whatever its ancestors were given


class TooManyLimits(Conflict):
    message = (
        f"The key would be bound by more than {MOST_LIMITS} limits, its own and those of the keys that make it. Give it"
        " fewer limits."
    )


def binding_windows(
    key: ApiKeyId, limits: Iterable[Mapping[str, Any]], binding: Iterable[Mapping[str, Any]] | None
) -> tuple[Window, ...]:
    """The windows that bind a key, by the columns ``limits`` and ``binding_limits``.

    Their counters are the ids of the keys that the limits were given to. An older release records no binding limits:
    the limits of its keys count for themselves.
    """
    counted = ({**each, "key_id": key.hex} for each in limits) if binding is None else binding
    return tuple(Window(each["name"], each["quota"], each["window_seconds"], each["key_id"]) for each in counted)


def family_name(key: ApiKeyId, family: ApiKeyId | None, *, made_by_key: bool) -> str:
    """The principals that count as one for management requests; empty for a key that is its own family."""
    if family is None or family == key:
        return ""
    return f"made-by-{family.hex}" if made_by_key else family.hex


def join_as_child(key: ApiKey, limits: Iterable[KeyLimit], maker: ApiKey | None) -> None:
    """Bind a new key by ``limits`` of its own, and by its maker's. Raises TooManyLimits."""
    inherited = _windows_of(maker)
    own = [Window(each.name, each.quota, each.window_seconds, key.id.hex) for each in limits]
    bind(key, [*own, *inherited])  # one that an inherited limit is tighter than too: that one may be widened
    if maker is not None:
        _join(key, maker, made_by_key=True)


def join_as_successor(key: ApiKey, old: ApiKey, maker: ApiKey | None) -> None:
    """Bind the successor of a key by what binds the old one, and by its maker's limits. Raises TooManyLimits.

    Made by a key of another family, which then has its secret, it counts as made by that family.
    """
    bind(key, dict.fromkeys((*_windows_of(old), *_windows_of(maker))))
    if maker is None or _place(maker) == _place(old):
        _join(key, old, made_by_key=old.made_by_key)
    else:
        _join(key, maker, made_by_key=True)


def _windows_of(key: ApiKey | None) -> tuple[Window, ...]:
    return () if key is None else binding_windows(key.id, key.limits, key.binding_limits)


def bind(key: ApiKey, windows: Iterable[Window]) -> None:
    key.binding_limits = [
        {"name": each.name, "quota": each.quota, "window_seconds": each.seconds, "key_id": each.counter}
        for each in windows
    ]
    if len(key.binding_limits) > MOST_LIMITS:
        raise TooManyLimits


def _join(key: ApiKey, other: ApiKey, *, made_by_key: bool) -> None:
    key.family_id, key.made_by_key = other.family_id or other.id, made_by_key


def _place(key: ApiKey) -> tuple[ApiKeyId, bool]:
    return key.family_id or key.id, key.made_by_key
