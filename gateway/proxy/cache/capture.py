"""What a fill's answer becomes: stored and sent, passed through, or the validation of what is stored.

An answer that is to be stored is held until it is complete: a reader that is slow, or an upstream that fails in the
middle, then concerns the client whose request it was, and not those who wait for it. If that takes longer than
``_HELD_FOR``, or it grows too large, it passes through to that client, and the others go on by themselves.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from starlette.types import Message, Send

from gateway.proxy.cache.callers import SentFields
from gateway.proxy.cache.delivery import forwarded, with_status
from gateway.proxy.cache.directives import AnswerControl
from gateway.proxy.cache.fields import combined, opaque_tag
from gateway.proxy.cache.fills import Fill, FillKey, Outcome
from gateway.proxy.cache.policy import is_error, lifetime_of, variants_of
from gateway.proxy.cache.rules import CacheRules
from gateway.proxy.cache.shares import Key, selected
from gateway.proxy.cache.store import ResponseCache
from gateway.proxy.cache.stored import Answer, Lifetime, Stored, freshened, stored
from gateway.proxy.cache.verdicts import is_fresh, usable_in_error
from gateway.request.client import PROXIED
from gateway.request.fields import Field, RequestFields

_HELD_FOR = 1.0  # seconds from the head
_MOST_DISCARDED = 65_536  # bytes of the body of an error that a stale answer replaces
_NOT_MODIFIED, _TOO_MANY, _SERVER_ERROR = 304, 429, 500

_SAYS_CACHING = frozenset({b"cache-control", b"expires", b"pragma"})

_Selection = tuple[tuple[bytes, ...], tuple[bytes | None, ...]]


class Mode(Enum):
    PENDING = auto()  # no head yet
    KEEP = auto()  # held, to be stored
    PASS = auto()  # sent on as it comes
    VALIDATED = auto()  # 304
    FOREIGN = auto()  # 304 of another answer than ours
    FAILED = auto()  # the stale answer is used


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to a cached route."""

    rules: CacheRules
    sent: SentFields
    tenant: str
    key: Key
    path: str
    identified: bool  # the upstream is told who asks
    fields: RequestFields
    headers: list[Field]


class Capture:
    """The ``send`` that the forwarder gets. ``entry`` is what is stored; ``send`` is the client's, if there is one."""

    def __init__(
        self,
        cache: ResponseCache,
        asked: Asked,
        fill: Fill,
        key: FillKey | None,
        *,
        entry: Stored | None,
        send: Send | None,
    ) -> None:
        self.mode = Mode.PENDING
        self.result: Stored | None = None  # complete, stored or not
        self.stored = False
        self.streaming = False  # the client has got a part
        self.reason = b"uri-miss"
        self.status = 0  # of the upstream
        self._cache = cache
        self._asked = asked
        self._fill = fill
        self._key = key
        self._entry = entry
        self._send = send
        self._requested_at = cache.monotonic()
        self._answer: Answer
        self._terms: tuple[AnswerControl, Lifetime, _Selection]
        self._chunks: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def validated(self) -> Stored | None:
        """What the upstream is asked to validate."""
        return self._entry if self._entry is not None and self._entry.has_validator else None

    @property
    def may_use_stale(self) -> bool:
        """The stored answer may take the place of a failure."""
        if self._entry is None or self.streaming or self._asked.sent.control.no_cache:
            return False
        return self.mode is not Mode.PASS and usable_in_error(self._entry, self._cache.monotonic())

    async def send(self, message: Message) -> None:
        """ASGI's ``send``."""
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self.mode is Mode.KEEP:
            await self._keep(message)
        elif self.mode is Mode.PASS:
            await self._pass_on(message)
        else:
            self._discard(message)

    def fail(self) -> None:
        """Use the stale answer, for those who wait too."""
        self.mode, self.result = Mode.FAILED, self._entry
        if self._entry is not None:
            self._cache.fills.close(self._fill, self._key, Outcome(self._entry, failed=True))

    def end(self) -> None:
        """Nothing more will come."""
        if self._timer is not None:
            self._timer.cancel()

    async def _start(self, message: Message) -> None:
        self.status = message["status"]
        now, wall = self._cache.monotonic(), self._cache.wall()
        self._answer = Answer(self.status, tuple(message["headers"]), self._requested_at, now, wall)
        if self.validated is not None and self.status == _NOT_MODIFIED:
            self.mode = Mode.VALIDATED if self._is_of(self.validated) else Mode.FOREIGN
        elif self.may_use_stale and is_error(self.status):
            self.fail()
        elif (terms := self._judge(self._answer)) is None or self._is_too_long():
            if self._is_final:
                self._forget_entry()
            await self._pass()
        else:
            self.mode, self._terms = Mode.KEEP, terms

    @property
    def _is_final(self) -> bool:
        """It says something of the resource, and not only of the upstream's state or of what the client has."""
        return self.status < _SERVER_ERROR and self.status not in {_NOT_MODIFIED, _TOO_MANY}

    def _is_of(self, entry: Stored) -> bool:
        etag = combined(self._answer.fields, b"etag")
        return etag is None or entry.etag is None or opaque_tag(etag) == opaque_tag(entry.etag)

    def _judge(self, answer: Answer) -> tuple[AnswerControl, Lifetime, _Selection] | None:
        asked = self._asked
        lifetime = lifetime_of(answer, asked.rules, identified=asked.identified)
        if lifetime is None:
            return None
        names = variants_of(answer, asked.rules, identified=asked.identified)
        if names is None:
            return None
        return (*lifetime, (names, selected(names, asked.fields, asked.headers)))

    def _is_too_long(self) -> bool:
        length = combined(self._answer.fields, b"content-length") or b""
        return length.isdigit() and int(length[:19]) > self._asked.rules.spec.largest_bytes

    async def _keep(self, message: Message) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        self._size += len(body)
        self._chunks.append(body)
        fits = self._size <= self._asked.rules.spec.largest_bytes
        if not (fits and self._cache.fills.hold(self._fill, len(body))):
            await self._pass(more=more)
        elif not more:
            self._complete()
            if self.streaming:
                await self._pass_on(message)
        elif self.streaming:
            await self._pass_on(message)
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(
                _HELD_FOR, self._cache.fills.close, self._fill, self._key
            )
        elif self._cache.monotonic() - self._answer.received_at > _HELD_FOR:
            self.streaming = True
            await self._flush(more=True)

    def _complete(self) -> None:
        length = combined(self._answer.fields, b"content-length")
        body = b"".join(self._chunks)
        self.result = self._made(self._answer, self._terms, body)
        if length is None or length == b"%d" % len(body):
            self._store(self.result)

    def _store(self, entry: Stored) -> None:
        asked, cache = self._asked, self._cache
        self.stored = not self._fill.outdated and cache.put(asked.tenant, asked.key, asked.path, entry)
        usable = self.stored and is_fresh(entry, cache.monotonic())
        cache.fills.close(self._fill, self._key, Outcome(entry) if usable else None)

    async def _pass(self, *, more: bool = True) -> None:
        """Send on what has come, and what comes: it is not stored, and no request waits for it any more."""
        self.mode = Mode.PASS
        asked = self._asked
        if self._is_final and not (self.streaming or self._fill.outdated):
            self._cache.note_uncacheable(asked.tenant, asked.key, asked.path)
        self._cache.fills.close(self._fill, self._key)
        if self.streaming:
            await self._pass_on({"type": "http.response.body", "body": self._chunks[-1], "more_body": more})
        else:
            await self._flush(more=more)
        self._chunks.clear()
        self._cache.fills.give_back(self._fill)

    async def _flush(self, *, more: bool) -> None:
        fields = with_status(self._guarded(self._answer.fields), forwarded(self.reason))
        start = {"type": "http.response.start", "status": self.status, "headers": fields, PROXIED: True}
        await self._pass_on(start)
        if self._chunks:
            await self._pass_on({"type": "http.response.body", "body": b"".join(self._chunks), "more_body": more})

    async def _pass_on(self, message: Message) -> None:
        if self._send is not None:
            await self._send(message)
        elif self.mode is Mode.PASS:
            self._fill.client.leave()  # a validation in the background whose answer is of no use

    def _discard(self, message: Message) -> None:
        self._size += len(message.get("body", b""))
        if self.mode is Mode.VALIDATED and not message.get("more_body", False):
            self._validate()
        elif self._size > _MOST_DISCARDED:
            self._fill.client.leave()

    def _validate(self) -> None:
        """The stored answer is good for longer, unless the 304 says that it must not be stored any more."""
        entry = self._entry
        if entry is None:
            return
        answer = freshened(entry, self._answer)
        terms = self._judge(answer)
        if terms is None:
            self._forget_entry()
            self.result = self._made(
                answer, (entry.control, entry.lifetime, (entry.selecting, entry.selected)), entry.body
            )
            self.result.fields += [field for field in answer.fields if field[0] == b"set-cookie"]
        else:
            self.result = self._made(answer, terms, entry.body)
            self._store(self.result)

    def _made(self, answer: Answer, terms: tuple[AnswerControl, Lifetime, _Selection], body: bytes) -> Stored:
        entry = stored(answer, *terms, body)
        entry.fields = self._guarded(entry.fields)
        return entry

    def _guarded(self, fields: Iterable[Field]) -> list[Field]:
        """With ``private``, where caches further on could not know that the answer is for one caller."""
        fields = list(fields)
        if self._asked.identified and _SAYS_CACHING.isdisjoint([name for name, _ in fields]):
            fields.append((b"cache-control", b"private"))
        return fields

    def _forget_entry(self) -> None:
        if self._entry is not None:
            self._cache.remove(self._asked.tenant, self._asked.key, self._entry)
