"""The manager's reactions to the states of its workers, with fake workers."""

import signal
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest
import uvicorn
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.process.configuration import WorkerConfiguration
from gateway.process.manager import WorkerManager
from gateway.process.worker import Worker
from gateway.settings import Settings
from tests.fixtures.databases import DatabaseUrls
from tests.fixtures.gateways import settings_for

_UNREACHABLE = "postgresql://nobody@127.0.0.1:1/none"
_HEALTH_CHECK_TIMEOUT = 30.0  # seconds


class FakeWorker:
    """A worker whose state the test sets."""

    def __init__(self, pid: int, *, takes_over: bool) -> None:
        self.pid = pid
        self.takes_over = takes_over
        self.ready = False
        self.exitcode: int | None = None
        self.seconds_since_pong = 0.0
        self.signals: list[signal.Signals] = []

    @property
    def alive(self) -> bool:
        return self.exitcode is None

    def check(self) -> float:
        return self.seconds_since_pong

    def send_signal(self, number: signal.Signals) -> None:
        self.signals.append(number)


class FakeManager(WorkerManager):
    """The manager, with fake workers."""

    def __init__(self, configuration: WorkerConfiguration, workers: int = 2) -> None:
        config = uvicorn.Config("nothing", workers=workers, timeout_worker_healthcheck=int(_HEALTH_CHECK_TIMEOUT))
        super().__init__(config, socket.socket(), configuration)
        self.started: list[FakeWorker] = []

    def _start(self, *, takes_over: bool) -> Worker:
        self.started.append(FakeWorker(len(self.started), takes_over=takes_over))
        return cast("Worker", self.started[-1])

    def step(self, *ready: int) -> list[FakeWorker]:
        """Mark these as ready and check twice; returns the workers that are alive."""
        for number in ready:
            self.started[number].ready = True
        self.keep_subprocess_alive()
        self.keep_subprocess_alive()
        return [worker for worker in self.started if worker.alive]

    def exit_worker(self, number: int, code: int) -> None:
        self.started[number].exitcode = code


@pytest.fixture
def settings() -> Settings:
    return settings_for(DatabaseUrls(_UNREACHABLE, _UNREACHABLE, _UNREACHABLE, "none"))


@pytest.fixture
def manager(settings: Settings) -> Iterator[FakeManager]:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    made = FakeManager(WorkerConfiguration(lambda: settings, create_app, 2, None))
    made.init_processes()
    yield made
    made.sockets[0].close()
    for number, handler in before.items():
        if number not in {signal.SIGKILL, signal.SIGSTOP} and handler is not None:
            signal.signal(number, handler)


def _numbers(workers: list[FakeWorker]) -> list[int]:
    return [worker.pid for worker in workers]


def test_a_failed_worker_is_replaced_by_one_that_takes_over(manager: FakeManager) -> None:
    """OP2, TH8."""
    manager.step(0, 1)
    manager.exit_worker(0, -signal.SIGKILL)
    assert _numbers(manager.step()) == [1, 2]
    assert [worker.takes_over for worker in manager.started] == [False, False, True]


def test_only_the_unresponsive_worker_is_killed(manager: FakeManager) -> None:
    manager.step(0, 1)
    manager.started[0].seconds_since_pong = _HEALTH_CHECK_TIMEOUT + 1
    manager.keep_subprocess_alive()
    assert manager.started[0].signals == [signal.SIGKILL]
    assert manager.started[1].signals == []


def test_a_rolling_restart_never_has_too_few_workers(manager: FakeManager) -> None:
    """OP1: a predecessor stops when its successor is ready, and the next one is replaced when it has exited."""
    manager.step(0, 1)
    manager.restart_all()
    assert _numbers(manager.step()) == [0, 1, 2]
    assert manager.started[0].signals == []
    manager.step(2)
    assert manager.started[0].signals == [signal.SIGHUP]
    assert _numbers(manager.step()) == [0, 1, 2]  # the first one still has running requests
    manager.exit_worker(0, -signal.SIGHUP)
    assert _numbers(manager.step()) == [1, 2, 3]
    manager.step(3)
    assert manager.started[1].signals == [signal.SIGHUP]
    manager.exit_worker(1, -signal.SIGHUP)
    assert _numbers(manager.step()) == [2, 3]
    assert [worker.takes_over for worker in manager.started] == [False, False, True, True]


def test_a_successor_that_fails_to_start_aborts_the_restart(manager: FakeManager) -> None:
    """OP1: a new version that cannot start must not stop the old one."""
    manager.step(0, 1)
    manager.restart_all()
    manager.step()
    manager.exit_worker(2, 3)
    with capture_logs() as lines:
        assert _numbers(manager.step()) == [0, 1]
    assert [line["event"] for line in lines] == ["restart_aborted"]
    assert manager.started[0].signals == manager.started[1].signals == []
    assert not manager.should_exit.is_set()


def test_a_worker_that_fails_during_a_restart_is_replaced_by_the_successor(manager: FakeManager) -> None:
    manager.step(0, 1)
    manager.restart_all()
    manager.step()
    manager.exit_worker(1, -signal.SIGKILL)
    assert _numbers(manager.step(2)) == [0, 2, 3]  # and the restart continues
    manager.step(3)
    assert manager.started[0].signals == [signal.SIGHUP]


def test_the_manager_exits_if_no_worker_can_start(manager: FakeManager) -> None:
    manager.exit_worker(0, 1)
    manager.step()
    assert (manager.startup_failed, manager.should_exit.is_set()) == (True, True)


def test_a_worker_killed_before_it_was_ready_is_started_again(manager: FakeManager) -> None:
    manager.exit_worker(0, -signal.SIGKILL)
    manager.step()
    manager._next_start = float("-inf")  # after the backoff
    assert _numbers(manager.step()) == [1, 2]
    assert not manager.startup_failed


def test_a_failing_worker_is_restarted_with_backoff_while_others_serve(manager: FakeManager) -> None:
    """The cause, such as a full disk, may go away; the other workers keep serving."""
    manager.step(0)
    backoffs = []
    for _ in range(9):
        manager.started[-1].exitcode = 3
        manager.keep_subprocess_alive()
        backoffs.append(manager._backoff)
        started = len(manager.started)
        manager.keep_subprocess_alive()
        assert len(manager.started) == started  # not before the backoff
        manager._next_start = float("-inf")
        manager.keep_subprocess_alive()
        assert len(manager.started) == started + 1
    assert backoffs[:3] == [1.0, 2.0, 4.0]
    assert backoffs[-1] == 30.0
    assert not manager.should_exit.is_set()
    assert manager.started[0].alive


def test_invalid_settings_are_rejected_and_valid_ones_apply_to_later_workers(settings: Settings) -> None:
    """ID7: a secret that was rotated in its file is in use after a rolling restart."""
    results: list[Any] = [settings, ValueError("TENANTRY_SECRET_KEY is missing"), settings.model_copy()]

    def load() -> Settings:
        result = results.pop(0)
        if isinstance(result, ValueError):
            raise result
        return cast("Settings", result)

    configuration = WorkerConfiguration(load, create_app, 2, None)
    with pytest.raises(ValueError, match="SECRET_KEY"):
        configuration.reload_settings()
    assert configuration.settings is settings
    configuration.reload_settings()
    assert configuration.settings is not settings


def test_sigttin_does_not_change_the_number_of_workers(manager: FakeManager) -> None:
    """TH8: each worker's share of a limit depends on it."""
    manager.step(0, 1)
    manager.handle_ttin()
    assert _numbers(manager.step()) == [0, 1]
