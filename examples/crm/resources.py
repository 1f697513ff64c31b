"""A small CRM: its resources, its own endpoints and its migrations. Setting: ``TENANTRY_RESOURCES``."""

from pathlib import Path

from examples.crm import endpoints
from examples.crm.contacts import contacts
from examples.crm.deals import deals

RESOURCES = (contacts, deals)
ROUTERS = (endpoints.router,)
MIGRATIONS = Path(__file__).parent / "migrations"
