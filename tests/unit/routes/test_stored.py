"""What is stored of a configuration, and how it is read again."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tenants.routes.schemas import Configuration, HealthSpec, RouteSpec, TargetSpec, UpstreamSpec
from tenants.routes.stored import Reader, stored_configuration
from tenants.routes.toml import RoutesFile

_ROOT = Path(__file__).parents[3]
_UPSTREAM = UpstreamSpec(name="crm", targets=(TargetSpec(url="http://10.0.0.5:80"),), health=HealthSpec())
_ROUTE = RouteSpec(name="echo", upstream="crm", path="/echo", permission="echo:use")


def test_members_that_have_their_default_are_not_stored() -> None:
    """An older release that runs beside this one reads what uses none of the newer members (docs/decisions/0047)."""
    configuration = Configuration(upstreams=(_UPSTREAM,), routes=(_ROUTE,))
    stored = stored_configuration(configuration)
    assert stored == {
        "upstreams": [{"name": "crm", "targets": [{"url": "http://10.0.0.5:80"}], "health": {}}],
        "routes": [{"name": "echo", "upstream": "crm", "path": "/echo", "permission": "echo:use"}],
    }
    assert Reader().read(stored) == configuration
    assert Reader().read(stored_configuration(Configuration())) == Configuration()


def test_what_is_stored_as_before_is_the_same_object() -> None:
    """A change of one of many routes costs as little as that one."""
    reader, other = Reader(), _ROUTE.model_copy(update={"name": "other", "path": "/other"})
    first = reader.read(stored_configuration(Configuration(upstreams=(_UPSTREAM,), routes=(_ROUTE, other))))
    changed = other.model_copy(update={"cost": 2})
    second = reader.read(stored_configuration(Configuration(upstreams=(_UPSTREAM,), routes=(changed, _ROUTE))))
    assert second.upstreams[0] is first.upstreams[0]
    assert second.routes[1] is first.routes[0]
    assert second.routes[0] == changed


@pytest.mark.parametrize("stored", [{"filters": []}, {"routes": [{"name": "a", "path": "/", "filter": 1}]}], ids=str)
def test_members_of_a_later_release_are_refused_and_not_ignored(stored: dict[str, object]) -> None:
    """AZ7: a guard that this release does not know must not be dropped."""
    with pytest.raises(ValidationError):
        Reader().read(stored)


def test_the_example_in_the_template_of_projects_is_valid() -> None:
    """What `tenantry new` writes, with the comment signs removed."""
    text = (_ROOT / "gateway/cli/project_template/package/routes.toml.template").read_text(encoding="utf-8")
    assert RoutesFile(text).configuration() == Configuration()
    example = "\n".join(line.removeprefix("#").strip() for line in text.split("\n\n")[1].splitlines())
    assert [each.name for each in RoutesFile(example).configuration().routes] == ["reports"]
