"""Redacts secrets in text and structured values, by format and by field name (SE2)."""

import re
from collections.abc import Mapping

from tenants.values.shown import escaped

REDACTED = "[redacted]"

# The replacement keeps the kind of the secret, for operators, and nothing of its value.
_FORMATS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(tn_[a-z]{1,10}_)[0-9A-Za-z_-]{8,}"), rf"\1{REDACTED}"),
    (re.compile(r"\b(whsec_)[0-9A-Za-z+/=_-]{8,}"), rf"\1{REDACTED}"),
    (re.compile(r"\b((?:sk|rk)_(?:live_|test_)?)[0-9A-Za-z]{8,}"), rf"\1{REDACTED}"),
    (re.compile(r"\beyJ[0-9A-Za-z_-]{5,}\.[0-9A-Za-z_-]*(?:\.[0-9A-Za-z_-]*){0,3}"), f"jwt {REDACTED}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[0-9A-Za-z._~+/=-]{8,}"), rf"\1 {REDACTED}"),
    (re.compile(r"""(?i)\b(authorization["']?\s*[:=]\s*)[^\r\n"']*(?:"[^"]*"|'[^']*')?"""), rf"\1{REDACTED}"),
    # URLs with a password: the last @ before the path ends the password.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{1,30}://[^\s:/@]*:)[^\s/]+@"), rf"\1{REDACTED}@"),
    (
        re.compile(
            r"""(?ix)
            (\b[a-z_]{0,20}(?:password|passwd|passphrase|secret(?:_key)?|api[_-]?key|signing_keys|key_peppers
            |access_token|refresh_token)
            ["']?\s*[:=]\s*)
            (?:"[^"]*"|'[^']*'|[^\s"',;&})]+)
            """
        ),
        rf"\1{REDACTED}",
    ),
)
# A cheap pre-check: text without any of these cannot match a format.
_HINT = re.compile(
    r"(?i)tn_|whsec_|[sr]k_|eyJ|bearer|basic|://|pass|secret|authorization|api[_-]?key|signing_keys|peppers|access_token|refresh_token"
)
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[_-])(?:password|passwd|passphrase|secret|token|authorization|cookie|pepper|api[_-]?key|(?:secret|signing)[_-]?key|credential)s?$"
)


def redact_text(text: str) -> str:
    """The text with every known format of secret redacted."""
    if _HINT.search(text) is None:
        return text
    for pattern, replacement in _FORMATS:
        text = pattern.sub(replacement, text)
    return text


def redact(value: object) -> object:
    """The value with secrets redacted in every string, and in every member with a secret name.

    What would act on a terminal that shows the log is escaped.
    """
    if isinstance(value, str):
        return _shown(value)
    if isinstance(value, bytes):
        return _shown(value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return {_shown(str(name)): redact_member(str(name), each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _shown(str(value))


def _shown(text: str) -> str:
    # Lines and tabs of a traceback stay; the readable renderer quotes other values that have some.
    return escaped(redact_text(text), keep="\n\t")


def redacted(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields of a log line, redacted."""
    return {name: redact_member(name, value) for name, value in fields.items()}


def redact_member(name: str, value: object) -> object:
    """Like ``redact``, for a named value."""
    hidden = value and not isinstance(value, int | float) and _SECRET_NAME.search(name)
    return REDACTED if hidden else redact(value)
