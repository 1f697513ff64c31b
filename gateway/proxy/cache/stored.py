"""One stored answer: its age, for how long it is fresh, and what it occupies (RFC 9111 sections 3 and 4.2)."""

from dataclasses import dataclass
from email.utils import formatdate
from sys import getsizeof

from gateway.proxy.cache.directives import AnswerControl
from gateway.proxy.cache.fields import combined, http_date, names_tag
from gateway.request.fields import Field

# Bytes that an entry takes beside its body and fields: the objects and the nodes of dictionaries (measured, and rounded
# up; tests/unit/proxy/cache/test_memory.py).
ENTRY_BYTES = 900
_FIELD_BYTES = 72  # a tuple, and its places in two lists
# Never from a 304: they describe the stored body, or the exchange (RFC 9111 section 3.2).
_OF_THE_BODY = frozenset({b"content-length", b"content-encoding", b"content-type", b"content-range"})
_NEVER_STORED = frozenset(
    {b"age", b"set-cookie", b"server-timing", b"proxy-authenticate", b"proxy-authentication-info"}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an upstream answered, and when it was asked."""

    status: int
    fields: tuple[Field, ...]  # as it was sent, names in lower case
    requested_at: float  # seconds, monotonic
    received_at: float  # its head; likewise
    received: float  # likewise, seconds since the epoch


@dataclass(frozen=True, slots=True)
class Lifetime:
    """For how long an answer may be used, in seconds from its birth."""

    fresh: float
    while_revalidate: float  # further seconds, while it is validated in the background
    if_error: float  # further seconds, when the upstream fails
    stale_allowed: bool  # a request may ask for it when it is stale
    validate_always: bool = False


@dataclass(slots=True, eq=False)
class Stored:
    """A stored answer. Its fields do not change; a validated one is another object."""

    answer: Answer
    control: AnswerControl
    lifetime: Lifetime
    selecting: tuple[bytes, ...]  # request fields that select it
    selected: tuple[bytes | None, ...]  # their values in the request that it answers
    fields: list[Field]  # without Age; with Content-Length
    body: bytes
    etag: bytes | None
    last_modified: bytes | None
    born_at: float  # monotonic: its age is the time since
    size: int  # bytes, as accounted

    def age(self, now: float) -> float:
        """Seconds since the origin generated or validated it (RFC 9111 section 4.2.3)."""
        return now - self.born_at

    @property
    def has_validator(self) -> bool:
        """Whether the upstream can be asked if it has changed."""
        return self.etag is not None or self.last_modified is not None

    @property
    def never_fresh(self) -> bool:
        """No request but its own may use it without validation."""
        return self.lifetime.validate_always or self.lifetime.fresh <= self.age(self.answer.received_at)

    @property
    def useless_at(self) -> float:
        """From then on it can be served in no case; monotonic."""
        lifetime = self.lifetime
        return self.born_at + lifetime.fresh + max(lifetime.while_revalidate, lifetime.if_error)

    def unmodified(self, if_none_match: bytes | None, if_modified_since: bytes | None) -> bool:
        """Whether a conditional request is answered with 304 (RFC 9110 section 13.2.2)."""
        if self.answer.status != 200:  # noqa: PLR2004
            return False
        if if_none_match is not None:
            return names_tag(if_none_match, self.etag)
        if if_modified_since is None or self.last_modified is None:
            return False
        since, modified = http_date(if_modified_since), http_date(self.last_modified)
        return since is not None and modified is not None and modified <= since


def stored(
    answer: Answer,
    control: AnswerControl,
    lifetime: Lifetime,
    selection: tuple[tuple[bytes, ...], tuple[bytes | None, ...]],
    body: bytes,
) -> Stored:
    """The entry for an answer that may be stored."""
    fields = [field for field in answer.fields if field[0] not in _NEVER_STORED]
    if combined(fields, b"content-length") is None and answer.status != 204:  # noqa: PLR2004
        fields.append((b"content-length", b"%d" % len(body)))
    if combined(fields, b"date") is None:  # RFC 9110 section 6.6.1: otherwise the server adds that of each response
        fields.append((b"date", formatdate(answer.received, usegmt=True).encode()))
    return Stored(
        answer,
        control,
        lifetime,
        *selection,
        fields,
        body,
        combined(fields, b"etag"),
        combined(fields, b"last-modified"),
        answer.received_at - initial_age(answer),
        _size(fields, body, selection[1]),
    )


def initial_age(answer: Answer) -> float:
    """``corrected_initial_age`` of RFC 9111 section 4.2.3."""
    date = http_date(combined(answer.fields, b"date") or b"")
    apparent = 0.0 if date is None else max(0.0, answer.received - date)
    sent = (combined(answer.fields, b"age") or b"").split(b",")[0].strip()  # the first member counts (section 5.1)
    age = min(int(sent), 2**31) if sent.isdigit() and len(sent) < 20 else 0  # noqa: PLR2004
    return max(apparent, age + answer.received_at - answer.requested_at)


def freshened(entry: Stored, validated: Answer) -> Answer:
    """The stored answer with the fields of a 304 (RFC 9111 section 3.2)."""
    updates = [field for field in validated.fields if field[0] not in _OF_THE_BODY]
    names = {name for name, _ in updates} | {b"date", b"age"}  # the stored ones would make the validated one old
    kept = [field for field in entry.fields if field[0] not in names]
    return Answer(
        entry.answer.status,
        (*kept, *updates),
        validated.requested_at,
        validated.received_at,
        validated.received,
    )


def _size(fields: list[Field], body: bytes, selected: tuple[bytes | None, ...]) -> int:
    texts = sum(getsizeof(name) + getsizeof(value) + _FIELD_BYTES for name, value in fields)
    return ENTRY_BYTES + getsizeof(body) + texts + sum(map(getsizeof, selected))
