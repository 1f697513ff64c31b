"""Whether an answer may be stored, and for how long it may be used (RFC 9111 sections 3, 4.2 and 5.3)."""

from gateway.proxy.cache.directives import AnswerControl, answer_control
from gateway.proxy.cache.fields import combined, http_date, names_in
from gateway.proxy.cache.rules import CacheRules
from gateway.proxy.cache.stored import Answer, Lifetime

# Understood in the sense of RFC 9111 section 3: final, complete, and no error that a single odd request can provoke.
# 400, 413, 414, 431 and 5xx are never stored: one caller's malformed request would be all callers' answer.
_UNDERSTOOD = frozenset({200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 410})
_BY_DEFAULT = frozenset({200, 203, 204, 300, 301, 308})  # that ``default_seconds`` applies to
_ERRORS = frozenset({500, 502, 503, 504})  # RFC 5861 section 4
_NOT_STORED = frozenset({b"set-cookie", b"set-cookie2", b"content-range", b"www-authenticate", b"clear-site-data"})


def is_error(status: int) -> bool:
    """A failure of the upstream, in the place of which a stale answer may be used."""
    return status in _ERRORS


def lifetime_of(answer: Answer, rules: CacheRules, *, identified: bool) -> tuple[AnswerControl, Lifetime] | None:
    """For how long the answer may be used; None when it must not be stored, or never could be used."""
    fields = answer.fields
    control = answer_control(combined(fields, b"cache-control") or b"")
    if not _storable(answer, control):
        return None
    fresh = _freshness(answer, control)
    by_default = fresh is None
    if fresh is None:
        fresh = _default(answer, control, rules)
    if identified and not (rules.own_share or control.shareable or by_default):
        return None  # RFC 9111 section 3.5; ``default_seconds`` of a shared route is the operator's own s-maxage
    if fresh is None:
        return None
    lifetime = _lifetime(float(fresh), control, rules)
    validator = any(name in {b"etag", b"last-modified"} for name, _ in fields)
    usable = lifetime.fresh > 0 and not control.no_cache
    return (control, lifetime) if usable or validator or lifetime.while_revalidate or lifetime.if_error else None


def variants_of(answer: Answer, rules: CacheRules, *, identified: bool) -> tuple[bytes, ...] | None:
    """The request fields that select this answer; None when no request can be sure to be selected by them.

    Upstreams forget ``Vary`` where it matters most: an answer with a content coding counts as one that varies by
    ``Accept-Encoding``, and one that allows an origin as one that varies by ``Origin``.
    """
    vary = names_in(combined(answer.fields, b"vary"))
    if combined(answer.fields, b"content-encoding") is not None:
        vary |= {b"accept-encoding"}
    if combined(answer.fields, b"access-control-allow-origin") not in {None, b"*"}:
        vary |= {b"origin"}
    return rules.selecting(vary, identified=identified)


def _storable(answer: Answer, control: AnswerControl) -> bool:
    if answer.status not in _UNDERSTOOD or control.private:
        return False
    if control.no_store and not control.must_understand:  # section 5.2.2.3
        return False
    return not any(name in _NOT_STORED or _streams(name, value) for name, value in answer.fields)


def _streams(name: bytes, value: bytes) -> bool:
    return name == b"content-type" and value.lower().startswith(b"text/event-stream")


def _freshness(answer: Answer, control: AnswerControl) -> float | None:
    """Seconds, as the answer says (section 4.2.1); None when it says nothing."""
    if control.s_maxage is not None:
        return control.s_maxage
    if control.max_age is not None:
        return control.max_age
    expires = [value for name, value in answer.fields if name == b"expires"]
    if not expires:
        return 0.0 if control.no_cache else None
    at = http_date(expires[0]) if len(set(expires)) == 1 else None
    date = http_date(combined(answer.fields, b"date") or b"")
    return 0.0 if at is None else max(0.0, at - (answer.received if date is None else date))


def _default(answer: Answer, control: AnswerControl, rules: CacheRules) -> float | None:
    """``default_seconds``, for an answer that says nothing. ``Pragma: no-cache`` says something."""
    if not rules.spec.default_seconds or answer.status not in _BY_DEFAULT or control.no_store:
        return None
    return None if combined(answer.fields, b"pragma") is not None else rules.spec.default_seconds


def _lifetime(fresh: float, control: AnswerControl, rules: CacheRules) -> Lifetime:
    """What the route allows beside the answer is not for one that forbids it; s-maxage does (section 5.2.2.10)."""
    if control.never_stale:
        return Lifetime(fresh, 0, 0, stale_allowed=False, validate_always=control.no_cache)
    shared, spec = control.s_maxage is not None, rules.spec
    revalidate = control.stale_while_revalidate
    if_error = control.stale_if_error
    return Lifetime(
        fresh,
        while_revalidate=(0 if shared else spec.stale_while_revalidate) if revalidate is None else revalidate,
        if_error=(0 if shared else spec.stale_if_error) if if_error is None else if_error,
        stale_allowed=not shared,
    )
