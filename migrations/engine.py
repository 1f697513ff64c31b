"""Connections of the owner role."""

import psycopg
from sqlalchemy import Engine, NullPool, create_engine, make_url

_NAME = "tenantry migrate"
_LOCK_TIMEOUT = 3.0  # seconds


def owner_engine(owner_url: str, lock_timeout: float = _LOCK_TIMEOUT) -> Engine:
    """An engine without a pool, whose statements wait at most ``lock_timeout`` seconds for a lock."""
    url = make_url(owner_url).set(drivername="postgresql+psycopg")
    return create_engine(
        url, poolclass=NullPool, connect_args={"application_name": _NAME, "options": _options(lock_timeout)}
    )


def owner_connection(owner_url: str, lock_timeout: float) -> psycopg.Connection:
    """An autocommit connection whose statements wait at most ``lock_timeout`` seconds for a lock."""
    url = make_url(owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True, application_name=_NAME, options=_options(lock_timeout))


def _options(lock_timeout: float) -> str:
    return f"-c lock_timeout={int(lock_timeout * 1000)}"
