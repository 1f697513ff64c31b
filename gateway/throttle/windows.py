"""The windows that a request is charged to, as the script, the counters and the header fields need them.

Source of the fields: draft-ietf-httpapi-ratelimit-headers-11 (``RateLimit-Policy`` section 3, ``RateLimit`` section 4),
whose lists are RFC 9651 structured fields.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import count
from math import ceil

import orjson

from tenants.principal import Window

GRAINS = 100  # buckets of a window; the same number as in grant.lua
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
    counter: str  # as in ``Window``: limits with the same one count the same requests


@dataclass(frozen=True, slots=True)
class WindowSet:
    """All windows that a request is charged to, together or not at all."""

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
    def counters(self) -> tuple[str, ...]:
        """Names of what is counted, each once: there is a Redis key for each of them."""
        return tuple(dict.fromkeys(limit.counter for limit in self.limits))

    def script_argument(self) -> bytes:
        """``ARGV[1]`` of grant.lua."""
        grain, number = _MICROSECONDS // GRAINS, {name: at for at, name in enumerate(self.counters, 1)}
        return orjson.dumps([[number[limit.counter], limit.seconds * grain, limit.quota] for limit in self.limits])

    def limit_template(self, resets: tuple[float, ...]) -> bytes:
        """Value of ``RateLimit`` with a ``%d`` for the remaining quota of each window; ``resets`` in seconds.

        A leased token counts for longer than its window, since it is dated to the end of its lease. A client cannot
        know that, so it is never told to wait for longer than the window; ``Retry-After`` is exact.
        """
        members = (
            f'"{limit.name.replace("%", "%%")}";r=%d;t={min(limit.seconds, max(1, ceil(reset)))}'
            for limit, reset in zip(self.limits, resets, strict=True)
        )
        return ", ".join(members).encode("ascii")


@lru_cache(maxsize=1024)
def window_set(windows: tuple[Window, ...]) -> WindowSet | None:
    """The windows of a request as one set; None when nothing is limited."""
    limits = _unambiguous(_tightest(windows))
    return WindowSet(limits) if limits else None


def _tightest(windows: tuple[Window, ...]) -> list[Limit]:
    """Of windows of one length only the tightest can refuse, and a counter distinguishes them by that length."""
    found: dict[tuple[str, int], Limit] = {}
    for window in windows:
        known = found.get((window.counter, window.seconds))
        if known is None or window.quota < known.quota:
            limit = Limit(_quotable(window.name), max(0, window.quota), window.seconds, window.counter)
            found[window.counter, window.seconds] = limit
    return list(found.values())


def _unambiguous(limits: list[Limit]) -> tuple[Limit, ...]:
    """Rename the windows of a key that have the name of an earlier one: ``key-burst``, ``key-burst-2``."""
    named: dict[str, Limit] = {}
    for limit in limits:
        name = next(each for each in _names(limit.name) if each not in named)
        named[name] = replace(limit, name=name)
    return tuple(named.values())


def _names(name: str) -> Iterator[str]:
    yield name
    yield f"key-{name}"
    yield from (f"key-{name}-{number}" for number in count(2))


def _quotable(name: str) -> str:
    """Only what an RFC 9651 string may hold, escaped, so that a name cannot end its quotes or the field."""
    printable = "".join(character if " " <= character <= "~" else "?" for character in name)
    return printable.replace("\\", "\\\\").replace('"', '\\"')
