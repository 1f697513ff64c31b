"""Load on several worker processes, and an exact check of what they admitted."""

import json
import subprocess
import sys
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from uuid import uuid4

import redis

from tests.integration.throttle.load_worker import PATIENT, Job

_REPOSITORY = Path(__file__).parents[3]
_TOGETHER = 0.2  # seconds from the last process's readiness to the common start


@dataclass(frozen=True, slots=True)
class Outcome:
    """Totals of all processes."""

    requests: list[tuple[float, float]]  # the admitted: when each began and when its admission was known, sorted
    refused: int
    slowest: float  # seconds
    calls: int  # of Redis
    start: float
    ends: list[float]  # of requests with a duration, sorted

    @property
    def admissions(self) -> list[float]:
        """When each admission was known, sorted moments."""
        return sorted(known for _, known in self.requests)

    def most_in_any_window(self, seconds: float) -> int:
        """The most admissions that were certainly in one half-open interval of that length.

        A request was admitted somewhere between its begin and the moment at which that was known. The two are far apart
        when the machine took the processor from the process in between.
        """
        most = 0
        known = self.admissions
        for earlier, (began, _) in enumerate(self.requests):
            most = max(most, bisect_left(known, began + seconds) - earlier)
        return most

    def most_in_flight(self) -> int:
        """Maximum over all moments and processes."""
        most = ended = 0
        for number, began in enumerate(self.admissions, start=1):
            while ended < len(self.ends) and self.ends[ended] <= began:
                ended += 1
            most = max(most, number - ended)
        return most


class Fleet:
    """Worker processes under load of one tenant."""

    def __init__(self, folder: Path, redis_url: str | None, windows: Sequence[tuple[str, int, int]]) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self.windows = list(windows)
        self.tenant = str(uuid4())
        self.start = 0.0
        self.processes: list[subprocess.Popen[bytes]] = []
        self._outs: list[Path] = []
        self._before = 0

    def launch(
        self,
        rates: Sequence[float],
        seconds: float,
        *,
        seed: int = 1,
        concurrency: int | None = None,
        duration: float = 0.0,
        deadline_seconds: float = PATIENT,
    ) -> None:
        """One process for each rate (0 is unlimited); returns when all are about to start."""
        self._before = self._calls()
        for number, rate in enumerate(rates):
            out = self.folder / f"worker-{uuid4().hex}"
            job = Job(
                str(out),
                self.redis_url,
                len(rates),
                self.windows,
                self.tenant,
                seconds,
                rate,
                seed + number,
                concurrency=concurrency,
                duration=duration,
                deadline_seconds=deadline_seconds,
            )
            config = out.with_suffix(".job")
            config.write_text(json.dumps(asdict(job)), encoding="utf-8")
            command = [sys.executable, "-m", "tests.integration.throttle.load_worker", str(config)]
            process = subprocess.Popen(command, cwd=_REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
            self.processes.append(process)
            self._outs.append(out)
        for process in self.processes:
            _until_ready(process)
        self.start = monotonic() + _TOGETHER
        for process in self.processes:
            _tell(process, self.start)

    def join(self, *, killed: Sequence[int] = ()) -> Outcome:
        """Wait for all. Admissions of killed processes count as well."""
        requests: list[tuple[float, float]] = []
        ends: list[float] = []
        refused, slowest = 0, 0.0
        for number, process in enumerate(self.processes):
            process.communicate(timeout=100)
            moments = _moments(self._outs[number])
            requests.extend(zip(moments[::2], moments[1::2], strict=False))  # a killed process may have written half
            if number in killed:
                continue
            assert process.returncode == 0
            summary = json.loads(Path(f"{self._outs[number]}.json").read_text(encoding="utf-8"))
            ends.extend(_moments(Path(f"{self._outs[number]}.ends")))
            refused += summary["refused"]
            slowest = max(slowest, summary["slowest"])
        return Outcome(sorted(requests), refused, slowest, self._calls() - self._before, self.start, sorted(ends))

    def _calls(self) -> int:
        if self.redis_url is None:
            return 0
        with redis.Redis.from_url(self.redis_url) as client:
            statistics = client.info("commandstats")
        return sum(statistics.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


def _moments(out: Path) -> list[float]:
    moments = array("d")
    written = out.read_bytes()
    moments.frombytes(written[: len(written) // moments.itemsize * moments.itemsize])
    return list(moments)


def _until_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    while (line := process.stdout.readline()).strip() != b"ready":
        assert line, "the process ended before it was ready"


def _tell(process: subprocess.Popen[bytes], start: float) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{start!r}\n".encode())
    process.stdin.flush()


def most_in_any_window(moments: Sequence[float], seconds: float) -> int:
    """The most admissions in any half-open interval of that length: exact, over every sliding window."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most
