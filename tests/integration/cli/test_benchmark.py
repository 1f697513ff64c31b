"""`tenantry benchmark` against a deployment."""

from pathlib import Path
from typing import Any

import pytest

from gateway.development.processes import free_port
from gateway.settings import Settings
from tests.fixtures.commands import Run, answer
from tests.fixtures.deployment import Deployment

_SHORT = ("--seconds", "0.3", "--rounds", "2", "--connections", "4", "--json")
_PATH = "/v1/contacts"  # charged to the plan
_PLANS = """
[[plans]]
code = "narrow"
name = "Narrow"
rank = 0
windows = [{ name = "burst", quota = 5, window_seconds = 60 }]

[[plans]]
code = "wide"
name = "Wide"
windows = [{ name = "burst", quota = 1000000, window_seconds = 1 }]
"""


@pytest.fixture
def url(run: Run, deployment: Deployment, environment: dict[str, str], tmp_path: Path) -> str:
    """The URL of a running deployment with two plans."""
    plans = tmp_path / "plans.toml"
    plans.write_text(_PLANS, encoding="utf-8")
    assert run("migrate").exit_code == 0
    assert run("plans", "seed", str(plans)).exit_code == 0
    named = {name.removeprefix("TENANTRY_").lower(): value for name, value in environment.items()}
    return deployment.gateway(Settings.model_validate(named))[1]


def _benchmark(run: Run, url: str, plan: str, exit_code: int) -> Any:
    tenant = answer(run("tenants", "create", f"on-{plan}", "--plan", plan, "--json"))
    command = ("benchmark", "--url", url, "--path", _PATH, *_SHORT)
    return answer(run(*command, TENANTRY_BENCHMARK_KEY=tenant["api_key"]["secret"]), exit_code)["results"]


def test_each_path_is_measured_and_compared_with_the_first(run: Run, url: str) -> None:
    baseline, listed = _benchmark(run, url, "wide", exit_code=0)
    assert (baseline["path"], baseline["ratio"], set(baseline["statuses"])) == ("/livez", 1.0, {"200"})
    assert (listed["path"], set(listed["statuses"])) == (_PATH, {"200"})
    assert listed["requests_per_second"] > 0
    assert 0 < listed["p50_ms"] <= listed["p95_ms"] <= listed["p99_ms"] <= listed["worst_ms"]


def test_error_responses_are_counted_and_set_the_exit_code(run: Run, url: str) -> None:
    """Here 429, by the plan's limit of 5 requests a minute."""
    baseline, listed = _benchmark(run, url, "narrow", exit_code=1)
    assert set(baseline["statuses"]) == {"200"}
    assert listed["statuses"]["429"] > 0


def test_an_unreachable_server_is_reported_in_one_sentence(run: Run) -> None:
    """Without a traceback, and without the key (SE2)."""
    key = "tn_live_0123456789abcdefghijABCDEFGHIJ01234567"
    failed = run("benchmark", "--url", f"http://127.0.0.1:{free_port()}", "--key", key, *_SHORT)
    assert answer(failed, exit_code=1)["error"]["code"] == "unavailable"
    assert key not in failed.output
    assert answer(run("benchmark", "--url", "api.example.com", "--key", key, *_SHORT), exit_code=1)["error"]
