"""The windows that a request is charged to, as the script, the counters and the header fields need them.

Source of the fields: draft-ietf-httpapi-ratelimit-headers-11 (``RateLimit-Policy`` section 3, ``RateLimit`` section 4),
whose lists are RFC 9651 structured fields.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil

import orjson

from tenants.principal import Window

GRAINS = 100  # buckets of a window; the same number as in grant.lua
TENANTS, KEYS_OWN = 1, 2  # scopes: shared by all keys of the tenant, or the API key's own
LEASE_AHEAD = 0.25  # seconds of need that a lease is to cover, and how far ahead tokens are promised
LEASE_LIFE = 0.5  # seconds after which a token leased ahead of need may be spent no more
_MICROSECONDS = 1_000_000
_BATCH_PART = (
    32  # a lease ahead of need is at most this part of the smallest quota: small quotas are counted one by one
)


@dataclass(frozen=True, slots=True)
class Limit:
    """One window that is enforced: at most ``quota`` in any ``seconds`` seconds."""

    name: str  # as the header fields show it: a quoted RFC 9651 string without its quotes
    quota: int
    seconds: int
    scope: int  # TENANTS or KEYS_OWN


@dataclass(frozen=True, slots=True)
class WindowSet:
    """All windows of a plan, and of a key when it has some: charged together or not at all."""

    limits: tuple[Limit, ...]
    policy_field: tuple[bytes, bytes] = field(init=False, compare=False)  # one object for all

    def __post_init__(self) -> None:
        """``RateLimit-Policy: "burst";q=10;w=1, "sustained";q=120;w=60``."""
        policies = ", ".join(f'"{limit.name}";q={limit.quota};w={limit.seconds}' for limit in self.limits)
        object.__setattr__(self, "policy_field", (b"ratelimit-policy", policies.encode("ascii")))

    @property
    def quota(self) -> int:
        """The smallest quota: what is used is compared with it."""
        return min(limit.quota for limit in self.limits)

    @property
    def shortest(self) -> int:
        """Seconds of the shortest window."""
        return min(limit.seconds for limit in self.limits)

    @property
    def largest_batch(self) -> int:
        """Tokens that one worker may take at once ahead of need."""
        return self.quota // _BATCH_PART

    @property
    def most_ahead(self) -> int:
        """Tokens that may be wanted ahead of need: none of a small quota, which is counted one by one."""
        return self.quota // 4 if self.largest_batch > 1 else 0

    @property
    def grain(self) -> float:
        """Seconds to which spending is dated, and that a token asked for by a waiting request lives at least."""
        return min(self.shortest / GRAINS, LEASE_LIFE)

    @property
    def longest_hold(self) -> float:
        """Seconds from a grant to the end of the last token's life."""
        return LEASE_LIFE if self.largest_batch > 1 else self.grain

    @property
    def scopes(self) -> int:
        """TENANTS, or KEYS_OWN when the key has some of its own: the number of states in Redis."""
        return max(limit.scope for limit in self.limits)

    def script_argument(self) -> bytes:
        """``ARGV[1]`` of grant.lua."""
        grain = _MICROSECONDS // GRAINS
        return orjson.dumps([[limit.scope, limit.seconds * grain, limit.quota] for limit in self.limits])

    def limit_template(self, resets: tuple[float, ...]) -> bytes:
        """Value of ``RateLimit`` with a ``%d`` for what remains of each window; ``resets`` in seconds from now."""
        members = (
            f'"{limit.name.replace("%", "%%")}";r=%d;t={max(1, ceil(reset))}'
            for limit, reset in zip(self.limits, resets, strict=True)
        )
        return ", ".join(members).encode("ascii")


@lru_cache(maxsize=1024)
def window_set(shared: tuple[Window, ...], own: tuple[Window, ...]) -> WindowSet | None:
    """The windows of a plan (``shared``) and of a key (``own``) as one set; None when nothing is limited."""
    limits = (*_tightest(shared, scope=TENANTS), *_tightest(own, scope=KEYS_OWN))
    return WindowSet(_named_apart(limits)) if limits else None


def _tightest(windows: tuple[Window, ...], *, scope: int) -> list[Limit]:
    """Of windows with one length only the tightest can bind, and the counters are named by that length."""
    by_length: dict[int, Limit] = {}
    for window in windows:
        known = by_length.get(window.seconds)
        if known is None or window.quota < known.quota:
            by_length[window.seconds] = Limit(_quotable(window.name), max(0, window.quota), window.seconds, scope)
    return list(by_length.values())


def _named_apart(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """A key's window of the same name as one of the plan would be ambiguous in the fields."""
    shared = {limit.name for limit in limits if limit.scope == TENANTS}
    return tuple(
        Limit(f"key-{limit.name}", limit.quota, limit.seconds, limit.scope)
        if limit.scope == KEYS_OWN and limit.name in shared
        else limit
        for limit in limits
    )


def _quotable(name: str) -> str:
    """Only what an RFC 9651 string may hold, escaped: a name must not be able to end its quotes or the field."""
    printable = "".join(character if " " <= character <= "~" else "?" for character in name)
    return printable.replace("\\", "\\\\").replace('"', '\\"')
