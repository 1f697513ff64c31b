"""The cost of our HTTP/1.1 protocol beside uvicorn's own, with applications that do nothing.

Our protocol caches the header lines of a connection's last request; "one line changes each time" is the cost when a
client's header lines differ. With ``--base`` the protocol of another checkout is measured as well.
"""

from collections.abc import Iterable
from statistics import median

from benchmarks.deployment import open_deployment
from benchmarks.options import Options
from benchmarks.report import Cell, Column, Report, Table
from benchmarks.servers import Server
from benchmarks.workloads import Figure, Workload, caveats, cpu, rate, run_rounds, value_range
from gateway.development.load import request_bytes

_CONTACT = "/v1/contacts/con_01h455vb4pex5vsknk084sn02q?fields=name"
_FACTORIES = ("benchmarks.bare:create_app", "benchmarks.bare:create_many_headers_app")
_APPLICATIONS = ("bare", "many-headers")
_HEADERS = {
    "X-API-Key": "tn_test_0123456789abcdefghijABCDEFGHIJ0123456789",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-US,en;q=0.9",
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "Origin": "https://app.example.com",
    "Referer": "https://app.example.com/contacts",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
}


def measure(options: Options) -> Report:
    """Five kinds of requests at each server."""
    with open_deployment() as deployment:
        baseline = _workloads(*map(deployment.servers.plain_uvicorn, _FACTORIES))
        measured = {"ours": _workloads(*map(deployment.servers.application, _APPLICATIONS))}
        if options.base is not None:
            measured["base"] = _workloads(*map(deployment.servers_of(options.base).application, _APPLICATIONS))
        rows = list(zip(baseline, *measured.values(), strict=True))
        workloads = [workload for row in rows for workload in row]
        run_rounds(workloads, options, options.scale(1.0, 0.2))
    title = "Our protocol, against uvicorn's own with httptools"
    return Report([Table(title, _columns(measured), [_row(*row) for row in rows], caveats(workloads))])


def _workloads(bare: Server, many_headers: Server) -> list[Workload]:
    traced = [_HEADERS | {"Traceparent": f"00-{number:032x}-{number:016x}-01"} for number in range(5_003)]
    body = b'{"note": "' + b"a" * 488 + b'"}'
    key = {"X-API-Key": _HEADERS["X-API-Key"]}
    return [
        Workload("GET with 2 header lines", bare, [request_bytes(bare.url, {})]),
        Workload("GET with 12 header lines", bare, [request_bytes(bare.url + _CONTACT, _HEADERS)]),
        Workload(
            "GET, one line changes each time", bare, [request_bytes(bare.url + _CONTACT, each) for each in traced]
        ),
        Workload("response with 10 headers", many_headers, [request_bytes(many_headers.url, {})]),
        Workload(
            "POST of 500 bytes, response with 10 headers",
            many_headers,
            [request_bytes(many_headers.url, key, "POST", body)],
        ),
    ]


def _columns(measured: Iterable[str]) -> list[Column]:
    servers = ("uvicorn", *measured)
    ratios = [column for name in measured for column in (Column(f"{name} / uvicorn", ".2f"), Column("range", ".2f"))]
    rates = [Column(f"{name}, requests/s", ",.0f") for name in servers]
    costs = [Column(f"{name}, CPU µs", ".1f") for name in servers]
    return [Column("workload"), *rates, *ratios, *costs]


def _row(uvicorn: Workload, *measured: Workload) -> list[Cell]:
    ratios: list[Cell] = []
    for workload in measured:
        figures = workload.ratios(uvicorn, rate)
        ratios += [median(figures), value_range(figures)]
    return [uvicorn.name, *_medians(rate, uvicorn, *measured), *ratios, *_medians(cpu, uvicorn, *measured)]


def _medians(figure: Figure, *workloads: Workload) -> list[float]:
    return [workload.median(figure) for workload in workloads]
