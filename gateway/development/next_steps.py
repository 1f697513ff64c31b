"""The text that `tenantry dev` prints when it is ready: notes for the developer, then commands to paste."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from billing.plans.schemas import PlanSpec, WindowSpec
from gateway.data.schemas import example_of
from gateway.development.project import Project
from tenants.resources.collection import Collection
from tenants.resources.fields import FieldKind

_LEAST_REQUESTS = 30  # of the loop
_MOST_REQUESTS = 1000
_CURLS_A_SECOND = 20  # what a shell's loop reaches at least
_JSON = "-H 'Content-Type: application/json'"


@dataclass(frozen=True, slots=True)
class Demo:
    """What the commands are made from. ``described`` is the content of ``demo_file``."""

    described: dict[str, Any]
    project: Project
    plan: str  # of the first tenant
    demo_file: Path
    environment: Path

    @property
    def base(self) -> str:
        return str(self.described["base_url"])

    @property
    def tenant(self) -> dict[str, Any]:
        found: dict[str, Any] = self.described["tenants"][0]
        return found

    def key(self, role: str) -> str:
        """The header with the first tenant's key of that role, quoted for a shell."""
        return quote(f"X-API-Key: {self.tenant['keys'][role]}")


def next_steps(demo: Demo) -> str:
    """Notes and commands. The keys in them belong to the demo."""
    notes = "".join(f"\nNOTE: {each}\n" for each in demo.project.notes)
    steps = "".join(f"\n{title}\n    {command}\n" for title, command in _steps(demo))
    files = f"Keys, users and passwords: {demo.demo_file}. Ctrl-C stops everything."
    mail = f"The mail that it sends: {demo.described['mail_url']}\n" if demo.described["mail_url"] else ""
    return f"{notes}{_documentation(demo.base)}{mail}{steps}\n{files}\n"


def _documentation(base: str) -> str:
    return f"\nThe API's documentation: {base}/docs\nThe operators' documentation: {base}/operator/docs\n"


def _steps(demo: Demo) -> Iterator[tuple[str, str]]:
    collections = demo.project.registry.collections
    yield from _data(demo, collections[0]) if collections else _management(demo)
    yield from _proxied(demo)
    yield from _limits(demo, collections[0].name if collections else None)
    command = f"{_command()} --env-file {quote(str(demo.environment))} keys list {demo.tenant['slug']}"
    yield "The same deployment from another shell", command


def _data(demo: Demo, collection: Collection) -> Iterator[tuple[str, str]]:
    url = f"{demo.base}/v1/{collection.name}"
    body = quote(json.dumps(_example(collection), default=str))
    yield f"List {collection.name} with a member's key: 200", f"curl -i {url} -H {demo.key('member')}"
    yield (
        "A viewer may read, but not create: 403 (with the member's key: 201)",
        f"curl -i {url} -H {demo.key('viewer')} {_JSON} -d {body}",
    )


def _management(demo: Demo) -> Iterator[tuple[str, str]]:
    """For a project that declares no resources yet."""
    body = quote(json.dumps({"name": "example", "role": "viewer"}))
    yield "Who a key is: 200", f"curl -i {demo.base}/v1/me -H {demo.key('member')}"
    yield (
        "A viewer may not create API keys: 403 (with the admin's key: 201)",
        f"curl -i {demo.base}/v1/api-keys -H {demo.key('viewer')} {_JSON} -d {body}",
    )


def _proxied(demo: Demo) -> Iterator[tuple[str, str]]:
    """A request to the demo service, where the project's routes.toml has a route to it."""
    route = demo.project.routes.demo_route if demo.project.routes else None
    if route is not None:
        url = f"{demo.base}{route.path.rstrip('/')}{'/hello' if route.match == 'prefix' else ''}"
        yield (
            "A service behind the gateway (routes.toml), with the identity that it receives: 200",
            f"curl -i {url} -H {demo.key('member')}",
        )


def _limits(demo: Demo, collection: str | None) -> Iterator[tuple[str, str]]:
    """Reach a limit of the plan, then buy the next plan. Left out where no loop of curl reaches a limit.

    Only data is charged to the plan, so that the loop needs a collection.
    """
    plans = demo.project.plans
    current = next((plan for plan in plans if plan.code == demo.plan), None)
    window = _reachable(current) if current else None
    if current and window and collection:
        count = max(_LEAST_REQUESTS, window.quota + 10)
        url, key = f"{demo.base}/v1/{collection}", demo.key("member")
        loop = f"for i in $(seq 1 {count}); do curl -s -o /dev/null -w '%{{http_code}} ' {url} -H {key}; done; echo"
        yield f"Plan {current.code} allows {_described(window)}: this loop is answered 429", loop
    larger = next((plan for plan in plans if current and plan.rank > current.rank), None)
    if larger:
        stripe = demo.described["stripe"]
        item = f"-d customer={demo.tenant['stripe_customer']} -d 'items[0][price]={stripe['prices'][larger.code]}'"
        yield (
            f"Buy plan {larger.code} ({_described(larger.windows[0])}) at the Stripe stand-in, then repeat the loop",
            f"curl -s {stripe['api_base']}/v1/subscriptions -u {stripe['api_key']}: {item}",
        )


def _reachable(plan: PlanSpec) -> WindowSpec | None:
    """The smallest window that a loop of curl exceeds."""
    reachable = [
        window
        for window in plan.windows
        if window.quota <= min(_MOST_REQUESTS, _CURLS_A_SECOND * window.window_seconds)
    ]
    return min(reachable, key=lambda window: window.quota, default=None)


def _described(window: WindowSpec) -> str:
    seconds = window.window_seconds
    return f"{window.quota} requests {'a second' if seconds == 1 else f'in {seconds} seconds'}"


def _example(collection: Collection) -> dict[str, object]:
    """A body that creates one: its required fields. A reference is left out, for which no row is known."""
    needed = [each for each in collection.writable if each.name in collection.required]
    return {each.name: example_of(each) for each in needed if each.kind is not FieldKind.REFERENCE}


def _command() -> str:
    """With its path: `make run` installs it into .venv, which is not on a shell's PATH."""
    return quote(str(Path(sys.executable).with_name("tenantry")))
