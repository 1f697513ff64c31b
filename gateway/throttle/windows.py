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
TENANT_SCOPE, KEY_SCOPE = 1, 2  # shared by all keys of the tenant, or of one API key
LEASE_AHEAD = 0.25  # seconds of demand that a lease covers, and how far ahead tokens are promised
LEASE_TTL = 0.5  # seconds after which a token leased ahead of need expires
_MICROSECONDS = 1_000_000
_BATCH_FRACTION = 32  # of the smallest quota: the most that is leased ahead of need; small quotas are counted exactly


@dataclass(frozen=True, slots=True)
class Limit:
    """One enforced window: at most ``quota`` in any ``seconds`` seconds."""

    name: str  # as in the header fields: the content of a quoted RFC 9651 string
    quota: int
    seconds: int
    scope: int  # TENANT_SCOPE or KEY_SCOPE


@dataclass(frozen=True, slots=True)
class WindowSet:
    """All windows of a plan, and of a key if it has some: charged together or not at all."""

    limits: tuple[Limit, ...]
    policy_field: tuple[bytes, bytes] = field(init=False, compare=False)  # shared by all responses

    def __post_init__(self) -> None:
        """``RateLimit-Policy: "burst";q=10;w=1, "sustained";q=120;w=60``."""
        policies = ", ".join(f'"{limit.name}";q={limit.quota};w={limit.seconds}' for limit in self.limits)
        object.__setattr__(self, "policy_field", (b"ratelimit-policy", policies.encode("ascii")))

    @property
    def quota(self) -> int:
        """The smallest quota."""
        return min(limit.quota for limit in self.limits)

    @property
    def shortest(self) -> int:
        """Seconds of the shortest window."""
        return min(limit.seconds for limit in self.limits)

    @property
    def max_batch(self) -> int:
        """Tokens that one worker may lease at once ahead of need."""
        return self.quota // _BATCH_FRACTION

    @property
    def max_ahead(self) -> int:
        """Tokens that one worker may hold ahead of need: none of a small quota, which is counted exactly."""
        return self.quota // 4 if self.max_batch > 1 else 0

    @property
    def grain(self) -> float:
        """Seconds to which spending is dated, and the least TTL of a token leased for a waiting request."""
        return min(self.shortest / GRAINS, LEASE_TTL)

    @property
    def max_hold(self) -> float:
        """Seconds from a grant to the expiry of its last token."""
        return LEASE_TTL if self.max_batch > 1 else self.grain

    @property
    def scopes(self) -> int:
        """TENANT_SCOPE, or KEY_SCOPE if a window is the key's own: the number of Redis keys."""
        return max(limit.scope for limit in self.limits)

    def script_argument(self) -> bytes:
        """``ARGV[1]`` of grant.lua."""
        grain = _MICROSECONDS // GRAINS
        return orjson.dumps([[limit.scope, limit.seconds * grain, limit.quota] for limit in self.limits])

    def limit_template(self, resets: tuple[float, ...]) -> bytes:
        """Value of ``RateLimit`` with a ``%d`` for the remaining quota of each window; ``resets`` in seconds."""
        members = (
            f'"{limit.name.replace("%", "%%")}";r=%d;t={max(1, ceil(reset))}'
            for limit, reset in zip(self.limits, resets, strict=True)
        )
        return ", ".join(members).encode("ascii")


@lru_cache(maxsize=1024)
def window_set(shared: tuple[Window, ...], own: tuple[Window, ...]) -> WindowSet | None:
    """The windows of a plan (``shared``) and of a key (``own``) as one set; None when nothing is limited."""
    limits = (*_tightest(shared, scope=TENANT_SCOPE), *_tightest(own, scope=KEY_SCOPE))
    return WindowSet(_unambiguous(limits)) if limits else None


def _tightest(windows: tuple[Window, ...], *, scope: int) -> list[Limit]:
    """Of windows of one length only the tightest can refuse, and the counters are keyed by that length."""
    by_length: dict[int, Limit] = {}
    for window in windows:
        known = by_length.get(window.seconds)
        if known is None or window.quota < known.quota:
            by_length[window.seconds] = Limit(_quotable(window.name), max(0, window.quota), window.seconds, scope)
    return list(by_length.values())


def _unambiguous(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """Rename a key's window that has the same name as one of the plan."""
    shared = {limit.name for limit in limits if limit.scope == TENANT_SCOPE}
    return tuple(
        Limit(f"key-{limit.name}", limit.quota, limit.seconds, limit.scope)
        if limit.scope == KEY_SCOPE and limit.name in shared
        else limit
        for limit in limits
    )


def _quotable(name: str) -> str:
    """Only what an RFC 9651 string may hold, escaped, so that a name cannot end its quotes or the field."""
    printable = "".join(character if " " <= character <= "~" else "?" for character in name)
    return printable.replace("\\", "\\\\").replace('"', '\\"')
