"""Default values of omitted fields that the model defines."""

from collections.abc import Callable

from sqlalchemy.sql.schema import CallableColumnDefault, DefaultGenerator, ScalarElementColumnDefault


def default_of(default: DefaultGenerator) -> Callable[[], object]:
    """A function that returns a column's ``default``, a value or a function without arguments (see ``checks``)."""
    if isinstance(default, CallableColumnDefault):
        function = default.arg
        return lambda: function(None)  # type: ignore[arg-type]  # SQLAlchemy's wrapper drops the context
    value = default.arg if isinstance(default, ScalarElementColumnDefault) else None
    plain = str(value) if isinstance(value, str) else value  # a member of a StrEnum becomes plain text
    return lambda: plain
