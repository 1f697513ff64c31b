"""Request metrics: by template, method and status class, and without data of callers."""

from collections.abc import Iterable

import pytest

from gateway.metrics import requests
from gateway.metrics.metric import Sample
from gateway.metrics.requests import RequestMeter
from gateway.request.context import RequestContext
from gateway.request.route import PUBLIC, Route, Terms
from gateway.routing.table import RouteTable
from tests.asgi import http_scope, request_context, respond_ok

pytestmark = pytest.mark.anyio

_CONTACT = Route("GET", "/v1/contacts/{id}", Terms(PUBLIC), respond_ok)
_TABLE = RouteTable([_CONTACT, Route("POST", "/v1/contacts", Terms(PUBLIC), respond_ok)])


def _request(method: str = "GET", path: str = "/v1/contacts/1", *, ago: float = 0.0) -> RequestContext:
    request = request_context(http_scope(method, path))
    request.route, _ = _TABLE.find(method, path)
    request.started -= ago
    return request


def _found(samples: Iterable[Sample], name: str) -> dict[tuple[str, ...], float]:
    return {each.labels: each.value for each in samples if each.metric.name + each.suffix == name}


async def test_requests_are_counted_by_template_method_and_status_class() -> None:
    meter = RequestMeter()
    for method, path, status in (
        ("GET", "/v1/contacts/1", 200),
        ("GET", "/v1/contacts/2", 204),
        ("HEAD", "/v1/contacts/3", 200),
        ("GET", "/v1/contacts/4", 404),
        ("POST", "/v1/contacts", 503),
        ("GET", "/v1/contacts/5", 0),
    ):
        meter.close(_request(method, path), status)
    assert _found(meter.samples(), "tenantry_requests_total") == {
        ("/v1/contacts/{id}", "GET", "2xx"): 3,
        ("/v1/contacts/{id}", "GET", "4xx"): 1,
        ("/v1/contacts", "POST", "5xx"): 1,
        ("/v1/contacts/{id}", "GET", "cut_short"): 1,
    }


async def test_input_of_callers_creates_no_series() -> None:
    """SE2: a flood of unknown paths and methods is one series, and takes no memory."""
    meter = RequestMeter()
    for number in range(1000):
        meter.close(_request("GET", f"/{number}"), 404)
        meter.close(_request(f"WORD{number}", f"/v1/contacts/{number}"), 405)
    meter.close(request_context(http_scope()), 200)
    unrouted = request_context(http_scope())
    unrouted.route = None  # refused before routing
    meter.close(unrouted, 400)
    found = _found(meter.samples(), "tenantry_requests_total")
    assert found[("unmatched", "none", "4xx")] == 1001
    assert found[("/v1/contacts/{id}", "none", "4xx")] == 1000
    assert len(found) <= 3
    assert len(meter._ended) + len(meter._unmatched) <= 4


async def test_unchanged_samples_are_not_repeated() -> None:
    """They are in the file already, and most routes are unused in most seconds."""
    meter = RequestMeter()
    meter.close(_request(), 200)
    meter.close(_request("POST", "/v1/contacts"), 201)
    assert len(_found(meter.samples(), "tenantry_requests_total")) == 2
    meter.close(_request(), 200)
    assert _found(meter.samples(), "tenantry_requests_total") == {("/v1/contacts/{id}", "GET", "2xx"): 2}
    assert _found(meter.samples(), "tenantry_requests_total") == {}


async def test_durations_are_counted_in_their_buckets() -> None:
    meter = RequestMeter()
    meter.close(_request(ago=0.02), 200)
    meter.close(_request(ago=0.02), 404)
    meter.close(_request(ago=60), 200)
    samples = list(meter.samples())
    buckets = _found(samples, "tenantry_request_seconds_bucket")
    assert [labels for labels, count in buckets.items() if count] == [
        ("/v1/contacts/{id}", "0.025"),
        ("/v1/contacts/{id}", "+Inf"),
    ]
    assert sum(buckets.values()) == 3
    assert _found(samples, "tenantry_request_seconds_sum")["/v1/contacts/{id}",] == pytest.approx(60.04, abs=1)


async def test_requests_in_flight_are_counted() -> None:
    meter = RequestMeter()
    first, second = _request(), _request()
    meter.begin(first)
    meter.begin(second)
    assert _found(meter.samples(), "tenantry_requests_in_flight") == {(): 2}
    meter.close(first, 200)
    meter.close(second, 0)
    assert _found(meter.samples(), "tenantry_requests_in_flight") == {(): 0}


async def test_refusals_are_counted_by_code() -> None:
    meter = RequestMeter()
    for code, status in (("rate_limited", 429), ("rate_limited", 429), ("credential_invalid", 401), ("", 404)):
        request = _request()
        if code:
            request.log["code"] = code
        meter.close(request, status)
    assert _found(meter.samples(), "tenantry_refusals_total") == {("rate_limited",): 2, ("credential_invalid",): 1}


async def test_counts_outlive_the_versions_of_a_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """A route that changes is another object; its counts go on, and neither objects nor labels pile up."""
    monkeypatch.setattr(requests, "_MOST_ROUTES", 10)
    monkeypatch.setattr(requests, "_MOST_TEMPLATES", 3)
    meter = RequestMeter()
    found: dict[tuple[str, ...], float] = {}
    for number in range(100):
        for template in ("/echo/{rest:path}", f"/r{number}"):
            request = _request()
            request.route = Route("GET", template, Terms(PUBLIC), respond_ok)
            meter.close(request, 200)
        found |= _found(meter.samples(), "tenantry_requests_total")
    assert found["/echo/{rest:path}", "GET", "2xx"] == 100
    assert len(meter._ended) <= 10
    assert len(meter._former) <= 4
    assert found[requests.OTHER, "none", "2xx"] > 80
