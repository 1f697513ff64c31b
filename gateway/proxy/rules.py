"""A route's own changes of header fields: removed, set, added (``FieldRules``)."""

from collections.abc import Callable
from pathlib import Path

from gateway.proxy.fields import plain_name
from gateway.request.fields import Field
from tenants.routes.schemas import FieldRules

_LONGEST_VALUE = 8_192  # bytes of a file
_VALUE_BYTES = b"\t" + bytes(range(0x20, 0x7F)) + bytes(range(0x80, 0x100))


class CompiledRules:
    """``replaced`` are the plain names that the sender's fields must not have: no spelling of them passes."""

    def __init__(self, rules: FieldRules, is_settable: Callable[[bytes], bool]) -> None:
        """Raises OSError and ValueError for a file that cannot be read or is no value of a field."""
        given = [*rules.set.items(), *rules.add.items()]
        named = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in given]
        named += [(name.lower().encode("ascii"), _content(path)) for name, path in rules.set_from_file.items()]
        self.fields: list[Field] = [(name, value) for name, value in named if is_settable(name)]
        replaced = (*rules.remove, *rules.set, *rules.set_from_file)
        self.replaced = frozenset(plain_name(each.encode("ascii")) for each in replaced)


def _content(path: str) -> bytes:
    value = Path(path).read_bytes().strip(b" \t\r\n")
    if len(value) > _LONGEST_VALUE or value.translate(None, _VALUE_BYTES):
        raise ValueError(f"{path} is no value of a header field")
    return value
