"""A small CRM: resources, migrations and plans."""
