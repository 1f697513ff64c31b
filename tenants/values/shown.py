"""Text that a terminal, a log or a page shows: names are free of control characters, everything else is escaped.

A control character moves the cursor or rewrites a line of a terminal (C0, DEL and C1: ECMA-48 section 5); a line
separator breaks a line; a bidirectional control (Bidi_Control in Unicode Standard Annex 9) makes a text look like
another one.
"""

import re
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from tenants.values.errors import BadValue, with_pydantic_errors

_UNSHOWN = r"\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_ONE_UNSHOWN = re.compile(f"[{_UNSHOWN}]")
_ALL_SHOWN = f"^[^{_UNSHOWN}]*$"  # the same in the regular expressions of JSON Schema (ECMA-262)


def check_shown(text: str) -> str:
    """Return the text if nothing in it acts on what shows it. Raises BadValue."""
    if _ONE_UNSHOWN.search(text):
        raise BadValue("bad_character", "Must not contain control characters or bidirectional controls.")
    return text


def escaped(text: str, keep: str = "") -> str:
    r"""The text with every such character as ``\u009b``, but those in ``keep``. JSON text stays the same document."""
    return _ONE_UNSHOWN.sub(lambda match: match[0] if match[0] in keep else f"\\u{ord(match[0]):04x}", text)


class Shown:
    """``Annotated[str, Field(max_length=100), SHOWN]``: a name, in a model and in its JSON Schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(with_pydantic_errors(check_shown), handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler(schema)
        return described if "pattern" in described else described | {"pattern": _ALL_SHOWN}


SHOWN = Shown()
