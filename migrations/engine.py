"""Connections of the role that owns the schemas."""

import psycopg
from sqlalchemy import Engine, NullPool, create_engine, make_url

_NAME = "tenantry migrate"
_OPTIONS = "-c lock_timeout=3000"  # milliseconds; whoever waits for a table makes all others wait behind it


def owner_engine(owner_url: str) -> Engine:
    """An engine that keeps no connection."""
    url = make_url(owner_url).set(drivername="postgresql+psycopg")
    return create_engine(url, poolclass=NullPool, connect_args={"application_name": _NAME, "options": _OPTIONS})


def owner_connection(owner_url: str) -> psycopg.Connection:
    """A connection where each statement is a transaction."""
    url = make_url(owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True, application_name=_NAME, options=_OPTIONS)
