"""The engine of the sessions: psycopg over one small pool, every wait bounded."""

from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tenants.database.connection import ExtendedCursor, SessionConnection, discard_dead_connections
from tenants.settings import DatabaseSettings

CONNECTION_LIFE = 1800  # seconds; a backend keeps some 120 KB for each tenant it has touched

_SESSIONS = {
    "async_creator_fn": SessionConnection.connect,
    "cursor_factory": ExtendedCursor,
    # A prepared statement is planned again when the search_path has changed, so for every other tenant, and fails
    # where two tenants' tables differ ("cached plan must not change result type", IS4).
    "prepare_threshold": None,
}


def open_engine(settings: DatabaseSettings) -> AsyncEngine:
    """An engine for the gateway's login role. Connects at its first use."""
    engine = create_async_engine(
        make_url(settings.url).set(drivername="postgresql+psycopg"),
        pool_size=settings.session_connections,
        max_overflow=0,
        pool_timeout=settings.acquire_timeout,
        pool_recycle=CONNECTION_LIFE,
        hide_parameters=True,  # an error's text is logged, and values are the tenant's data (SE2)
        connect_args=connect_arguments(settings) | _SESSIONS,
    )
    discard_dead_connections(engine.pool)
    return engine


def connect_arguments(settings: DatabaseSettings) -> dict[str, object]:
    """The parameters of every connection.

    Keepalives detect a dead peer, the search_path is empty, and the server ends what hangs (DA7).
    """
    milliseconds = int(settings.statement_timeout * 1000)
    return {
        "connect_timeout": max(2, round(settings.connect_timeout)),  # libpq takes no less than 2
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 2,
        "tcp_user_timeout": int(settings.transaction_timeout * 1000),
        "application_name": "tenantry",
        "options": (
            "-c timezone=UTC "  # also where the server has another: answers have times in UTC
            f"-c search_path= -c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
            f" -c idle_in_transaction_session_timeout={milliseconds}"
        ),
    }
