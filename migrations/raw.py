"""SQL sent without parameter processing."""

from sqlalchemy import Connection


def run(connection: Connection, statement: str) -> None:
    """Run one or more statements without parameters: percent signs and colons are literal."""
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
