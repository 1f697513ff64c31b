"""`tenantry benchmark`, as a user measures a deployment."""

from pathlib import Path
from typing import Any

import pytest

from gateway.development.processes import free_port
from gateway.settings import Settings
from tests.fixtures.commands import Run, answer
from tests.fixtures.deployment import Deployment

_BRIEFLY = ("--seconds", "0.3", "--rounds", "2", "--connections", "4", "--json")
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
    """A deployment that serves, with two plans."""
    plans = tmp_path / "plans.toml"
    plans.write_text(_PLANS, encoding="utf-8")
    assert run("migrate").exit_code == 0
    assert run("plans", "seed", str(plans)).exit_code == 0
    named = {name.removeprefix("TENANTRY_").lower(): value for name, value in environment.items()}
    return deployment.gateway(Settings.model_validate(named))[1]


def _benchmark(run: Run, url: str, plan: str, exit_code: int) -> Any:
    made = answer(run("tenants", "create", f"on-{plan}", "--plan", plan, "--json"))
    command = ("benchmark", "--url", url, *_BRIEFLY)
    return answer(run(*command, TENANTRY_BENCHMARK_KEY=made["api_key"]["secret"]), exit_code)["works"]


def test_it_shows_what_each_path_answers_and_compares_it_with_the_first(run: Run, url: str) -> None:
    floor, me = _benchmark(run, url, "wide", exit_code=0)
    assert (floor["path"], floor["ratio"], set(floor["statuses"])) == ("/livez", 1.0, {"200"})
    assert (me["path"], set(me["statuses"])) == ("/v1/me", {"200"})
    assert me["requests_per_second"] > 0
    assert 0 < me["p50_ms"] <= me["p95_ms"] <= me["p99_ms"] <= me["worst_ms"]


def test_answers_that_are_not_good_are_counted_and_decide_the_exit(run: Run, url: str) -> None:
    """Here the plan's own limit: 5 in a minute."""
    floor, me = _benchmark(run, url, "narrow", exit_code=1)
    assert set(floor["statuses"]) == {"200"}
    assert me["statuses"]["429"] > 0


def test_a_server_that_is_not_there_is_said_in_a_sentence(run: Run) -> None:
    """No traceback, and the key in no word of it (SE2)."""
    key = "tn_live_0123456789abcdefghijABCDEFGHIJ01234567"
    failed = run("benchmark", "--url", f"http://127.0.0.1:{free_port()}", "--key", key, *_BRIEFLY)
    assert answer(failed, exit_code=1)["error"]["code"] == "unavailable"
    assert key not in failed.output
    assert answer(run("benchmark", "--url", "api.example.com", "--key", key, *_BRIEFLY), exit_code=1)["error"]
