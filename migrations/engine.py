"""Connections of the role that owns the schemas."""

import psycopg
from sqlalchemy import Engine, NullPool, create_engine, make_url

_NAME = "tenantry migrate"
LOCK_TIMEOUT = 3.0  # seconds; whoever waits for a table makes all others wait behind it


def owner_engine(owner_url: str) -> Engine:
    """An engine that keeps no connection."""
    url = make_url(owner_url).set(drivername="postgresql+psycopg")
    return create_engine(
        url, poolclass=NullPool, connect_args={"application_name": _NAME, "options": _options(LOCK_TIMEOUT)}
    )


def owner_connection(owner_url: str, lock_timeout: float) -> psycopg.Connection:
    """A connection where each statement is a transaction and waits at most so many seconds for a lock."""
    url = make_url(owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True, application_name=_NAME, options=_options(lock_timeout))


def _options(lock_timeout: float) -> str:
    return f"-c lock_timeout={int(lock_timeout * 1000)}"
