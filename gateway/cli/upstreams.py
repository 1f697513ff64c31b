"""``tenantry upstreams``: the services that routes go to."""

from typing import Annotated, Any

import typer

from gateway.cli.command_group import AS_JSON
from gateway.cli.output import print_list
from gateway.cli.settings import load_settings
from gateway.features import Features, administer
from tenants.routes.diff import complete_form
from tenants.routes.schemas import UpstreamSpec

app = typer.Typer(help="Show the services that routes go to.", no_args_is_help=True)

_COLUMNS = ("name", "targets", "tenants", "health")


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


def _row(upstream: UpstreamSpec) -> dict[str, Any]:
    health = None if upstream.health is None else upstream.health.path
    targets = [each.url for each in upstream.targets]
    return {"name": upstream.name, "targets": targets, "tenants": list(upstream.by_tenant), "health": health}
