"""SQL sent exactly as it is written."""

from sqlalchemy import Connection


def run(connection: Connection, statement: str) -> None:
    """Run one statement, or several, with no parameters: a percent sign or a colon in it is only itself."""
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
