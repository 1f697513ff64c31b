"""What the manager does when workers come, serve, hang and end; the workers here are told what to be."""

import signal
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest
import uvicorn
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.process.applications import Applications
from gateway.process.manager import Workers
from gateway.process.worker import Worker
from gateway.settings import Settings
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.gateways import settings_for

_NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
_HUNG = 30.0  # seconds


class Actor:
    """A worker as the manager sees it."""

    def __init__(self, pid: int, *, takes_over: bool) -> None:
        self.pid = pid
        self.takes_over = takes_over
        self.ready = False
        self.exitcode: int | None = None
        self.silence = 0.0
        self.told: list[signal.Signals] = []

    @property
    def alive(self) -> bool:
        return self.exitcode is None

    def look(self) -> float:
        return self.silence

    def tell(self, number: signal.Signals) -> None:
        self.told.append(number)


class Stage(Workers):
    """The manager, with actors for workers."""

    def __init__(self, applications: Applications, workers: int = 2) -> None:
        config = uvicorn.Config("nothing", workers=workers, timeout_worker_healthcheck=int(_HUNG))
        super().__init__(config, socket.socket(), applications)
        self.actors: list[Actor] = []

    def _start(self, *, takes_over: bool) -> Worker:
        self.actors.append(Actor(len(self.actors), takes_over=takes_over))
        return cast("Worker", self.actors[-1])

    def step(self, *ready: int) -> list[Actor]:
        """Let these be ready, and look twice; who is there then."""
        for number in ready:
            self.actors[number].ready = True
        self.keep_subprocess_alive()
        self.keep_subprocess_alive()
        return [actor for actor in self.actors if actor.alive]

    def end(self, number: int, code: int) -> None:
        self.actors[number].exitcode = code


@pytest.fixture
def settings() -> Settings:
    return settings_for(DatabaseUrls(_NOWHERE, _NOWHERE, _NOWHERE, "none"))


@pytest.fixture
def stage(settings: Settings) -> Iterator[Stage]:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    made = Stage(Applications(lambda: settings, create_app, 2, None))
    made.init_processes()
    yield made
    made.sockets[0].close()
    for number, handler in before.items():
        if number not in {signal.SIGKILL, signal.SIGSTOP} and handler is not None:
            signal.signal(number, handler)


def _numbers(actors: list[Actor]) -> list[int]:
    return [actor.pid for actor in actors]


def test_a_worker_that_ends_is_replaced_by_one_that_knows_that_it_takes_over(stage: Stage) -> None:
    """OP2, TH8."""
    stage.step(0, 1)
    stage.end(0, -signal.SIGKILL)
    assert _numbers(stage.step()) == [1, 2]
    assert [actor.takes_over for actor in stage.actors] == [False, False, True]


def test_a_worker_that_hangs_is_killed_and_the_others_are_let_be(stage: Stage) -> None:
    stage.step(0, 1)
    stage.actors[0].silence = _HUNG + 1
    stage.keep_subprocess_alive()
    assert stage.actors[0].told == [signal.SIGKILL]
    assert stage.actors[1].told == []


def test_a_restart_never_has_fewer_workers_than_it_should(stage: Stage) -> None:
    """OP1: a predecessor goes when its successor serves, and the next restart begins when it has gone."""
    stage.step(0, 1)
    stage.restart_all()
    assert _numbers(stage.step()) == [0, 1, 2]
    assert stage.actors[0].told == []
    stage.step(2)
    assert stage.actors[0].told == [signal.SIGHUP]
    assert _numbers(stage.step()) == [0, 1, 2]  # the first still has requests in hand
    stage.end(0, -signal.SIGHUP)
    assert _numbers(stage.step()) == [1, 2, 3]
    stage.step(3)
    assert stage.actors[1].told == [signal.SIGHUP]
    stage.end(1, -signal.SIGHUP)
    assert _numbers(stage.step()) == [2, 3]
    assert [actor.takes_over for actor in stage.actors] == [False, False, True, True]


def test_a_successor_that_does_not_come_up_leaves_the_others_where_they_are(stage: Stage) -> None:
    """OP1: a new version that cannot start must not end the old one."""
    stage.step(0, 1)
    stage.restart_all()
    stage.step()
    stage.end(2, 3)
    with capture_logs() as lines:
        assert _numbers(stage.step()) == [0, 1]
    assert [line["event"] for line in lines] == ["restart_abandoned"]
    assert stage.actors[0].told == stage.actors[1].told == []
    assert not stage.should_exit.is_set()


def test_a_worker_that_dies_amidst_a_restart_is_replaced_by_the_successor(stage: Stage) -> None:
    stage.step(0, 1)
    stage.restart_all()
    stage.step()
    stage.end(1, -signal.SIGKILL)
    assert _numbers(stage.step(2)) == [0, 2, 3]  # and the restart goes on
    stage.step(3)
    assert stage.actors[0].told == [signal.SIGHUP]


def test_where_no_worker_ever_comes_up_the_manager_gives_up(stage: Stage) -> None:
    stage.end(0, 1)
    stage.step()
    assert (stage.gave_up, stage.should_exit.is_set()) == (True, True)


def test_one_that_was_killed_before_it_served_says_nothing_of_the_next(stage: Stage) -> None:
    stage.end(0, -signal.SIGKILL)
    stage.step()
    stage._not_before = float("-inf")  # after a pause
    assert _numbers(stage.step()) == [1, 2]
    assert not stage.gave_up


def test_while_others_serve_one_that_does_not_come_up_is_tried_again_ever_more_slowly(stage: Stage) -> None:
    """A folder that is full may be emptied; those who serve need not end for it."""
    stage.step(0)
    pauses = []
    for _ in range(9):
        stage.actors[-1].exitcode = 3
        stage.keep_subprocess_alive()
        pauses.append(stage._pause)
        started = len(stage.actors)
        stage.keep_subprocess_alive()
        assert len(stage.actors) == started  # not at once
        stage._not_before = float("-inf")
        stage.keep_subprocess_alive()
        assert len(stage.actors) == started + 1
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert pauses[-1] == 30.0
    assert not stage.should_exit.is_set()
    assert stage.actors[0].alive


def test_wrong_settings_refuse_a_restart_and_right_ones_are_served_by_who_comes(settings: Settings) -> None:
    """ID7: what is rotated by file is in force after a restart, without a stop."""
    found: list[Any] = [settings, ValueError("TENANTRY_SECRET_KEY is missing"), settings.model_copy()]

    def load() -> Settings:
        given = found.pop(0)
        if isinstance(given, ValueError):
            raise given
        return cast("Settings", given)

    applications = Applications(load, create_app, 2, None)
    with pytest.raises(ValueError, match="SECRET_KEY"):
        applications.renew()
    assert applications.settings is settings
    applications.renew()
    assert applications.settings is not settings


def test_the_number_of_workers_is_not_changed_by_a_signal(stage: Stage) -> None:
    """TH8: shares were counted with it."""
    stage.step(0, 1)
    stage.handle_ttin()
    assert _numbers(stage.step()) == [0, 1]
