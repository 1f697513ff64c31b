"""Lists with twenty filters, a new combination each time, beside the plain requests of another tenant.

Each shape was compiled, for some 5 ms, and kept with its expression: after a thousand of them a full collection of
garbage took 0.3 to 0.5 s, in the middle of anyone's request.
"""

import random
from collections.abc import Sequence

from benchmarks.abuse.target import Finding, Target
from benchmarks.deployment import PLAN, BenchmarkTenant
from benchmarks.mixture import shape
from benchmarks.workloads import PacedLoad, load_processes
from gateway.development.load import Result, request_bytes

_SHAPES, _PLAIN = 100.0, 200.0  # requests per second
_NICE = 19
_LEAD_OUT = 0.5  # seconds of the flood after what is measured


def measure(target: Target) -> Sequence[Finding]:
    """The latency of plain requests, alone and beside the lists."""
    caller, other = target.add_tenant("caller", PLAN), target.add_tenant("shapes", PLAN)
    warm, seconds = target.options.scale(5.0, 0.5), target.options.scale(12.0, 1.0)
    _plain(target, caller, 1.0)
    alone = _plain(target, caller, warm)
    with load_processes(1, _NICE) as pool:
        lists = _lists(target, other, int(_SHAPES * (warm + seconds)))
        flood = PacedLoad([target.url], lists, _SHAPES, warm + seconds + _LEAD_OUT)
        running = pool.apply_async(flood.run)
        _plain(target, caller, warm)
        beside = _plain(target, caller, seconds)
        answered = running.get()
    return [
        Finding("p99 of plain requests alone, ms", alone.percentile(0.99)),
        Finding("p99 of plain requests beside the lists, ms", beside.percentile(0.99)),
        Finding("the slowest plain request beside the lists, ms", beside.percentile(1.0)),
        Finding("p50 of the lists, ms", answered.percentile(0.5)),
    ]


def _plain(target: Target, caller: BenchmarkTenant, seconds: float) -> Result:
    return PacedLoad([target.url], [request_bytes(f"{target.url}/v1/me", caller.headers)], _PLAIN, seconds).run()


def _lists(target: Target, tenant: BenchmarkTenant, count: int) -> list[bytes]:
    choice = random.Random(1)  # noqa: S311 - the same for every checkout
    return [request_bytes(f"{target.url}/v1/contacts?{shape(choice)}", tenant.headers) for _ in range(count)]
