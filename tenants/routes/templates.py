"""Path templates of routes: ``/orders/{id}``. Literal segments are compared as they are, without percent-encoding."""

import re
from dataclasses import dataclass

from tenants.values.errors import BadValue

_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'*+(),;=:@-]+")  # pchar of RFC 3986 section 3.3, without percent-encoding
_PARAMETER = re.compile(r"\{([a-z][a-z0-9_]{0,49})\}")
_DOTS = frozenset({".", ".."})
_MOST_SEGMENTS = 32


@dataclass(frozen=True, slots=True)
class Template:
    """The segments of a path, in order; ``{name}`` matches any one segment. The root has none."""

    segments: tuple[str, ...]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in braces."""
        return tuple(segment[1:-1] for segment in self.segments if segment.startswith("{"))

    @property
    def shape(self) -> tuple[str | None, ...]:
        """What it matches: templates of one shape match the same paths."""
        return tuple(None if segment.startswith("{") else segment for segment in self.segments)


def read_template(text: str) -> Template:
    """Raises BadValue."""
    if text == "/":
        return Template(())
    if not text.startswith("/"):
        raise BadValue("bad_format", "Must begin with a slash.")
    template = Template(tuple(text[1:].split("/")))
    for segment in template.segments:
        _check_segment(segment)
    if len(template.segments) > _MOST_SEGMENTS:
        raise BadValue("too_long", f"Must have at most {_MOST_SEGMENTS} segments.")
    if len(set(template.parameters)) < len(template.parameters):
        raise BadValue("not_unique", "Two segments have the same name in braces.")
    return template


def _check_segment(segment: str) -> None:
    if not segment:
        raise BadValue("bad_format", "Must have no empty segment, and no slash at its end.")
    if segment in _DOTS:
        raise BadValue("bad_format", 'Must have no segment "." or "..".')
    if not _LITERAL.fullmatch(segment) and not _PARAMETER.fullmatch(segment):
        message = (
            "Each segment must be literal (letters, digits and -._~!$&'*+(),;=:@, without percent-encoding) or one name"
            " in braces, such as {id}."
        )
        raise BadValue("bad_format", message)
