"""Bodies that are made to be expensive: the latency of another tenant while two clients send nothing else (LD1).

Anonymous clients send them to the sign-in, from many addresses, and a client with a key creates contacts with them. A
worker whose event loop is held answers nobody, so the longest response of the other tenant shows the longest hold.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from multiprocessing.pool import Pool

from benchmarks.abuse.target import Finding, Target
from benchmarks.deployment import PLAN
from benchmarks.workloads import PacedLoad, load_processes, repeated_closed_loop
from gateway.development.load import Result, request_bytes

_MEGABYTE = 1_048_576
_BODIES = (
    b"{" + b",".join(b'"m%d":1' % number for number in range(80_000)) + b"}",
    b"[" + b"[]," * (_MEGABYTE // 3 - 2) + b"[]]",
)
_ABUSERS = 2  # connections
_SOURCES = 10  # of anonymous requests: one address alone would reach the limit of the sign-in
_FIRST_SOURCE = IPv4Address("10.9.0.0")
_RATE = 100  # requests of the other tenant per second
_LEAD_IN = 1.0  # seconds, not measured


def measure(target: Target) -> Sequence[Finding]:
    """Latencies without abuse, and with each kind of it."""
    other, abuser = target.add_tenant("bodies-other", PLAN), target.add_tenant("bodies-abuser", PLAN)
    request = request_bytes(f"{target.url}/v1/contacts?limit=1", other.headers)
    kinds: dict[str, list[bytes]] = {
        "no abuse": [],
        "anonymous clients": [
            request_bytes(f"{target.url}/v1/auth/login", {"X-Forwarded-For": str(_FIRST_SOURCE + number)}, "POST", body)
            for number in range(_SOURCES)
            for body in _BODIES
        ],
        "clients with a key": [
            request_bytes(f"{target.url}/v1/contacts", abuser.headers, "POST", body) for body in _BODIES
        ],
    }
    with load_processes(1) as pool:
        return [
            finding for name, abuse in kinds.items() for finding in _findings(name, _run(target, request, abuse, pool))
        ]


def _findings(name: str, result: Result) -> Iterator[Finding]:
    yield Finding(f"p50 of another tenant beside {name}, ms", result.percentile(0.5))
    yield Finding(f"p99 of another tenant beside {name}, ms", result.percentile(0.99))
    yield Finding(f"longest response of another tenant beside {name}, ms", result.percentile(1.0))


def _run(target: Target, request: bytes, abuse: list[bytes], pool: Pool) -> Result:
    """The latencies of ``request``, whose first second does not count."""
    seconds = target.options.scale(6.0, 1.0)
    running = None
    if abuse:
        running = pool.apply_async(repeated_closed_loop, (target.url, abuse, _ABUSERS, _LEAD_IN + seconds))
    PacedLoad([target.url], [request], _RATE, _LEAD_IN).run()
    result = PacedLoad([target.url], [request], _RATE, seconds).run()
    if running is not None:
        running.get()
    return result
