"""``Cache-Control`` of requests and answers (RFC 9111 section 5.2, RFC 5861), read strictly.

What cannot be read never makes an answer live longer: a malformed field counts as ``no-store``, a malformed number as
0, and of a directive that is repeated the more restrictive value counts (RFC 9111 section 4.2.1).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

LONGEST = 2**31  # seconds: what RFC 9111 section 1.2.2 puts in the place of a larger number

_DIRECTIVE = re.compile(
    rb"[\s,]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,;\"]*)))?[ \t]*(?:,|\Z)"
)
_MOST_DIGITS = 12
_CACHED = 1024  # fields, nearly always the same few

_Given = dict[bytes, list[bytes | None]]


@dataclass(frozen=True, slots=True)
class RequestControl:
    """What a request allows. Seconds; None is no such directive."""

    no_store: bool = False
    no_cache: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    max_stale: int | None = None
    min_fresh: int = 0

    @classmethod
    def of(cls, values: Iterable[bytes]) -> Self:
        """``values`` are the lines of the field."""
        given = _given(b",".join(values))
        if given is None:
            return cls(no_store=True)
        return cls(
            no_store=b"no-store" in given,
            no_cache=b"no-cache" in given,
            only_if_cached=b"only-if-cached" in given,
            max_age=_least(given, b"max-age"),
            max_stale=_staleness(given),
            min_fresh=max(map(_seconds, given.get(b"min-fresh", ())), default=0),
        )


@dataclass(frozen=True, slots=True)
class AnswerControl:
    """What an answer allows. A qualified ``private="field"`` or ``no-cache="field"`` counts as the unqualified one."""

    no_store: bool = False
    no_cache: bool = False
    private: bool = False
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    max_age: int | None = None
    s_maxage: int | None = None
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None

    @property
    def shareable(self) -> bool:
        """It may be given to others than the one who proved who they are (RFC 9111 section 3.5)."""
        return self.public or self.must_revalidate or self.s_maxage is not None

    @property
    def never_stale(self) -> bool:
        """Forbids every use without validation once it is stale (RFC 9111 section 4.2.4)."""
        return self.no_cache or self.must_revalidate or self.proxy_revalidate


@lru_cache(_CACHED)
def answer_control(text: bytes) -> AnswerControl:
    """``text`` is the combined field of an answer."""
    given = _given(text)
    if given is None:
        return AnswerControl(no_store=True)
    return AnswerControl(
        no_store=b"no-store" in given,
        no_cache=b"no-cache" in given,
        private=b"private" in given,
        public=b"public" in given,
        must_revalidate=b"must-revalidate" in given,
        proxy_revalidate=b"proxy-revalidate" in given,
        must_understand=b"must-understand" in given,
        max_age=_least(given, b"max-age"),
        s_maxage=_least(given, b"s-maxage"),
        stale_while_revalidate=_least(given, b"stale-while-revalidate"),
        stale_if_error=_least(given, b"stale-if-error"),
    )


def delta_seconds(text: bytes) -> int | None:
    """A number of seconds (RFC 9111 section 1.2.2); None for anything else."""
    if not text.isdigit():
        return None
    return LONGEST if len(text.lstrip(b"0")) > _MOST_DIGITS else min(int(text), LONGEST)


def _given(text: bytes) -> _Given | None:
    """The directives by their lower-case names; None when the field is malformed."""
    given: _Given = {}
    position, end = 0, len(text.rstrip(b" \t,"))
    while position < end:
        match = _DIRECTIVE.match(text, position)
        if match is None:
            return None
        name, quoted, token = match.groups()
        given.setdefault(name.lower(), []).append(token if quoted is None else quoted)
        position = match.end()
    return given


def _seconds(value: bytes | None) -> int:
    return (delta_seconds(value) if value else None) or 0


def _least(given: _Given, name: bytes) -> int | None:
    values = given.get(name)
    return None if values is None else min(map(_seconds, values))


def _staleness(given: _Given) -> int | None:
    """``max-stale`` without a value is any staleness (RFC 9111 section 5.2.1.2)."""
    values = given.get(b"max-stale")
    return None if values is None else min(LONGEST if each is None else _seconds(each) for each in values)
