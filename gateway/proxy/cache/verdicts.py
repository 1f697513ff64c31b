"""What may be done with a stored answer now (RFC 9111 sections 4.2.4, 5.2.1 and 5.2.2; RFC 5861)."""

from enum import Enum, auto

from gateway.proxy.cache.directives import RequestControl
from gateway.proxy.cache.stored import Stored


class Verdict(Enum):
    FRESH = auto()
    STALE = auto()  # to be served: the request allows it
    REVALIDATE = auto()  # to be served, and validated in the background
    VALIDATE = auto()  # to be validated before it is served


def verdict(entry: Stored, control: RequestControl, now: float) -> Verdict:
    """``now`` is monotonic."""
    lifetime, age = entry.lifetime, entry.age(now)
    left = lifetime.fresh - age
    if lifetime.validate_always or control.no_cache or (control.max_age is not None and age > control.max_age):
        return Verdict.VALIDATE
    if left > 0 and left >= control.min_fresh:
        return Verdict.FRESH
    if control.min_fresh:
        return Verdict.VALIDATE
    if control.max_stale is not None and lifetime.stale_allowed and -left <= control.max_stale:
        return Verdict.STALE
    if control.max_age is None and -left < lifetime.while_revalidate:
        return Verdict.REVALIDATE
    return Verdict.VALIDATE


def is_fresh(entry: Stored, now: float) -> bool:
    """Whether it can be used without validation, by a request that asks for nothing special."""
    return not entry.lifetime.validate_always and entry.age(now) < entry.lifetime.fresh


def usable_in_error(entry: Stored, now: float) -> bool:
    """Whether it may be used since the upstream has failed."""
    lifetime = entry.lifetime
    return not lifetime.validate_always and entry.age(now) < lifetime.fresh + lifetime.if_error
