"""What our protocol costs beside uvicorn's own, under one application that does nothing.

Clients repeat themselves, and so the header lines of the last request are remembered; "one line another each time" is
what it costs where they do not.
"""

from statistics import median

from benchmarks.effort import Effort
from benchmarks.report import Cell, Column, Report, Table
from benchmarks.servers import Server
from benchmarks.stand import open_stand
from benchmarks.works import Work, caveats, cpu, rate, run_rounds, spread
from gateway.development.load import request_bytes

_CONTACT = "/v1/contacts/con_01h455vb4pex5vsknk084sn02q?fields=name"
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
_COLUMNS = (
    Column("work"),
    Column("uvicorn, requests/s", ",.0f"),
    Column("ours, requests/s", ",.0f"),
    Column("ratio", ".2f"),
    Column("range", ".2f"),
    Column("uvicorn, CPU µs", ".1f"),
    Column("ours, CPU µs", ".1f"),
)


def measure(effort: Effort) -> Report:
    """Five kinds of requests at either server."""
    with open_stand() as stand:
        bare = stand.servers.yardstick("benchmarks.bare:create_app"), stand.servers.ours("bare")
        wordy = stand.servers.yardstick("benchmarks.bare:create_wordy_app"), stand.servers.ours("wordy")
        uvicorn, ours = (_works(*servers) for servers in zip(bare, wordy, strict=True))
        works = [work for pair in zip(uvicorn, ours, strict=True) for work in pair]
        run_rounds(works, effort, effort.of(1.0, 0.2))
    rows = [_row(*pair) for pair in zip(uvicorn, ours, strict=True)]
    return Report([Table("Our protocol, against uvicorn's own with httptools", _COLUMNS, rows, caveats(works))])


def _works(bare: Server, wordy: Server) -> list[Work]:
    traced = [_HEADERS | {"Traceparent": f"00-{number:032x}-{number:016x}-01"} for number in range(5_003)]
    body = b'{"note": "' + b"a" * 488 + b'"}'
    key = {"X-API-Key": _HEADERS["X-API-Key"]}
    return [
        Work("GET as the load generator sends it", bare, [request_bytes(bare.url, {})]),
        Work("GET with 12 header lines", bare, [request_bytes(bare.url + _CONTACT, _HEADERS)]),
        Work("GET, one line another each time", bare, [request_bytes(bare.url + _CONTACT, each) for each in traced]),
        Work("answer with 10 headers", wordy, [request_bytes(wordy.url, {})]),
        Work("POST of 500 bytes, 10 headers back", wordy, [request_bytes(wordy.url, key, "POST", body)]),
    ]


def _row(uvicorn: Work, ours: Work) -> list[Cell]:
    ratios = ours.ratios(uvicorn, rate)
    rates, costs = ([work.median(figure) for work in (uvicorn, ours)] for figure in (rate, cpu))
    return [ours.name, *rates, median(ratios), spread(ratios), *costs]
