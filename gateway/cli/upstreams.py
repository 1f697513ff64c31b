"""``tenantry upstreams``: the services that routes go to."""

from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.output import CommandFailed, errors_console, print_json, print_list
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.routes.diff import complete_form
from tenants.routes.schemas import UpstreamSpec

app = typer.Typer(help="Show the services that routes go to.", no_args_is_help=True)

_COLUMNS = ("name", "targets", "tenants", "health")
_HEALTH_COLUMNS = ("url", "tenant", "state", "ready_workers", "in_flight", "requests", "failures", "connections")
_TIMEOUT = 10.0  # seconds
_OK = 200


@app.callback()
def upstreams() -> None:
    """Show the services that routes go to. `tenantry routes apply` declares them."""


@app.command("list")
def list_upstreams(context: typer.Context, *, as_json: Annotated[bool, AS_JSON] = False) -> None:
    """List the upstreams in force."""

    async def work(features: Features) -> list[UpstreamSpec]:
        async with features.database.control() as session:
            return list((await features.routes.current(session)).configuration.upstreams)

    found = administer(load_settings(context), work)
    print_list([complete_form(each) if as_json else _row(each) for each in found], _COLUMNS, as_json=as_json)


@app.command()
def health(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the upstream, from `tenantry upstreams list`.")],
    *,
    key: Annotated[str, typer.Option(envvar="TENANTRY_OPERATOR_KEY", help="An operator key, of any role that reads.")],
    url: Annotated[str | None, typer.Option(help="Base URL of the gateway; by default TENANTRY_PUBLIC_URL.")] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Show the targets of an upstream as one running worker sees them, and how many workers of its host agree.

    Give the key in TENANTRY_OPERATOR_KEY: other users of this machine can read a command line.
    """
    found = _ask(url or load_settings(context).public_url, name, key)
    if as_json:
        print_json(found)
        return
    print_list(found["targets"], _HEALTH_COLUMNS, as_json=False)
    errors_console().print(f"Worker {found['worker']}, one of {found['workers']} on its host.")


def _ask(url: str, name: str, key: str) -> dict[str, Any]:
    path = f"{url.rstrip('/')}/operator/v1/upstreams/{quote(name, safe='')}/health"
    try:
        answer = httpx.get(path, headers={"X-API-Key": key}, timeout=_TIMEOUT, trust_env=False)
        found = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise CommandFailed("unavailable", f"{url} does not answer as a gateway ({type(error).__name__}).") from error
    if not isinstance(found, dict) or answer.status_code != _OK:
        problem: dict[str, Any] = found if isinstance(found, dict) else {}
        code, detail = str(problem.get("code", "unavailable")), str(problem.get("detail", ""))
        raise CommandFailed(code, f"{url} has answered {answer.status_code}.", *filter(None, (detail,)))
    return found


def _row(upstream: UpstreamSpec) -> dict[str, Any]:
    health = None if upstream.health is None else upstream.health.path
    targets = [each.url for each in upstream.targets]
    return {"name": upstream.name, "targets": targets, "tenants": list(upstream.by_tenant), "health": health}
