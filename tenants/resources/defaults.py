"""What a field that is left out becomes, where the model says so and not the database."""

from collections.abc import Callable

from sqlalchemy.sql.schema import CallableColumnDefault, DefaultGenerator, ScalarElementColumnDefault


def default_of(default: DefaultGenerator) -> Callable[[], object]:
    """Makes the value of a column's ``default``, which is a value or a function of no arguments (``checks``)."""
    if isinstance(default, CallableColumnDefault):
        function = default.arg
        return lambda: function(None)  # type: ignore[arg-type]  # SQLAlchemy's wrapper drops the context
    value = default.arg if isinstance(default, ScalarElementColumnDefault) else None
    plain = str(value) if isinstance(value, str) else value  # a StrEnum's member is its text
    return lambda: plain
