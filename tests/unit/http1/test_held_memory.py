"""``HeldMemory``: what is shed when clients make the process hold too much (LD2)."""

from gateway.http1.held_memory import HeldMemory

_LIMIT, _SOURCE_LIMIT = 1_600, 400


class _Memory(HeldMemory):
    """With a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_LIMIT, _SOURCE_LIMIT, lambda: self.now)


class _Holder:
    def __init__(self, memory: HeldMemory, source: str | None = "a", *, can_be_shed: bool = True) -> None:
        self.was_shed = False
        self._memory = memory
        self._source = source
        self._can_be_shed = can_be_shed

    def hold(self, size: int) -> None:
        self._memory.hold(self, size, self._source)

    def shed(self) -> None:
        self.was_shed = True
        if self._can_be_shed:
            self.hold(0)


def test_a_source_may_hold_up_to_its_bound() -> None:
    """LD2: at the bound nothing happens, one byte beyond it the holder is shed."""
    memory = _Memory()
    holder = _Holder(memory)
    holder.hold(_SOURCE_LIMIT)
    assert not holder.was_shed
    holder.hold(_SOURCE_LIMIT + 1)
    assert holder.was_shed
    assert (memory.total, memory.of("a")) == (0, 0)


def test_the_process_may_hold_up_to_its_bound() -> None:
    """LD2: by many sources, and by those that cannot be told."""
    memory = _Memory()
    holders = [_Holder(memory, source) for source in ("a", "b", "c", None)]
    for each in holders:
        each.hold(_LIMIT // 4)
    assert not any(each.was_shed for each in holders)
    memory.now = 1
    last = _Holder(memory, "d")
    last.hold(1)
    assert memory.total <= _LIMIT
    assert [each.was_shed for each in (*holders, last)] == [True, False, False, False, False]


def test_the_most_byte_seconds_are_shed_first() -> None:
    """LD2: neither an old small request nor a large one that has just arrived."""
    memory = _Memory()
    old_and_small, slow_and_large, new_and_large = (_Holder(memory) for _ in range(3))
    old_and_small.hold(10)
    memory.now = 10
    slow_and_large.hold(200)
    memory.now = 20
    new_and_large.hold(200)
    assert [each.was_shed for each in (old_and_small, slow_and_large, new_and_large)] == [False, True, False]


def test_other_sources_keep_what_they_hold() -> None:
    """LD2: a source beyond its bound is its own problem."""
    memory = _Memory()
    neighbour = _Holder(memory, "b")
    neighbour.hold(_SOURCE_LIMIT)
    memory.now = 100
    holders = [_Holder(memory) for _ in range(50)]
    for each in holders:
        memory.now += 1
        each.hold(100)
        assert memory.of("a") <= _SOURCE_LIMIT
    assert not neighbour.was_shed
    assert memory.of("b") == _SOURCE_LIMIT


def test_a_newcomer_is_shed_when_the_others_cannot_be() -> None:
    """LD2: bodies that the application works on stay, and the bound is kept."""
    memory = _Memory()
    busy = _Holder(memory, can_be_shed=False)
    busy.hold(_SOURCE_LIMIT)
    newcomer = _Holder(memory)
    newcomer.hold(10)
    assert newcomer.was_shed
    assert memory.of("a") == _SOURCE_LIMIT


def test_what_is_freed_is_forgotten() -> None:
    """LD2: a source that has gone leaves nothing."""
    memory = _Memory()
    for number in range(1_000):
        holder = _Holder(memory, f"source-{number}")
        holder.hold(10)
        holder.hold(4)
        holder.hold(0)
        holder.hold(0)
    assert (memory.total, memory._held, memory._of_sources) == (0, {}, {})
