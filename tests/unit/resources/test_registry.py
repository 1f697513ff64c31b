"""The module of TENANTRY_RESOURCES is loaded completely, or the start fails with the reason."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from examples.crm.contacts import contacts
from examples.crm.deals import deals
from examples.crm.resources import MIGRATIONS
from tenants.resources.errors import DeclarationError
from tenants.resources.fields import FieldKind
from tenants.resources.registry import load_registry, registry_of


def _module(**attributes: Any) -> ModuleType:
    module = ModuleType("a_saas")
    vars(module).update(attributes)
    return module


def test_the_example_is_served() -> None:
    """Names, permissions, references and the folder of revisions of a real module."""
    registry = load_registry("examples.crm.resources")
    assert registry.names == ("contacts", "deals")
    assert registry.permissions[:4] == ("contacts:read", "contacts:create", "contacts:update", "contacts:delete")
    assert registry.migrations == (MIGRATIONS,)
    reference = registry["deals"].by_name["contact_id"]
    assert (reference.kind, reference.prefix) == (FieldKind.REFERENCE, "contact")
    assert registry["deals"].by_name["id"].prefix == "deal"
    assert registry["contacts"].required == {"name"}


def test_without_a_module_nothing_is_served() -> None:
    """A deployment can use Tenantry without resources."""
    registry = load_registry(None)
    assert (registry.collections, registry.migrations, registry.permissions) == ((), (), ())


@pytest.mark.parametrize(
    ("attributes", "fault"),
    [
        ({"MIGRATIONS": MIGRATIONS}, "RESOURCES must be a tuple of Resource"),
        ({"RESOURCES": [contacts], "MIGRATIONS": MIGRATIONS}, "RESOURCES must be a tuple of Resource"),
        ({"RESOURCES": ("contacts",), "MIGRATIONS": MIGRATIONS}, "RESOURCES must be a tuple of Resource"),
        ({"RESOURCES": (contacts,)}, "MIGRATIONS must be the folder"),
        ({"RESOURCES": (contacts,), "MIGRATIONS": Path("/nowhere")}, "the folder MIGRATIONS does not exist"),
        ({"RESOURCES": (contacts,), "MIGRATIONS": "migrations"}, "MIGRATIONS must be the folder"),
        ({"RESOURCES": (contacts, contacts), "MIGRATIONS": MIGRATIONS}, "two resources have the name 'contacts'"),
        ({"RESOURCES": (deals,), "MIGRATIONS": MIGRATIONS}, "deals.contact_id refers to the table 'contacts'"),
    ],
)
def test_an_invalid_module_says_what_is_wrong(attributes: dict[str, Any], fault: str) -> None:
    """The error names the attribute and what to write."""
    with pytest.raises(DeclarationError) as raised:
        registry_of(_module(**attributes))
    assert fault in str(raised.value)


def test_two_resources_never_share_a_prefix() -> None:
    """A prefix identifies the resource of an id."""
    clash = replace(deals, singular="contact")
    with pytest.raises(DeclarationError, match="two resources have the singular 'contact'"):
        registry_of(_module(RESOURCES=(contacts, clash), MIGRATIONS=MIGRATIONS))


@pytest.mark.parametrize("name", ["no.such.module", "tests.fixtures.no_such_module"])
def test_a_module_that_cannot_be_imported_says_why(name: str) -> None:
    """Not a traceback of the import machinery, but the setting's value and the reason."""
    with pytest.raises(DeclarationError, match=f"Module {name} cannot be served"):
        load_registry(name)


def test_the_fingerprint_changes_with_the_response_format() -> None:
    """A representation cached before a release never counts as unchanged."""
    before = registry_of(_module(RESOURCES=(contacts,), MIGRATIONS=MIGRATIONS))["contacts"]
    fewer = replace(contacts, hidden=("notes",), writable=contacts.writable[:-1], rules={})
    after = registry_of(_module(RESOURCES=(fewer,), MIGRATIONS=MIGRATIONS))["contacts"]
    assert before.fingerprint != after.fingerprint
