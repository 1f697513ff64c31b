"""Patterns of claims: what a token has to say of its workload. No I/O.

``*`` matches one or more characters of one part of a value, whose parts are separated by ``:`` and ``/``; at the end
of a pattern it matches all that follows. So ``repo:acme/*:ref:refs/heads/main`` cannot be met by a repository of
another owner, whatever it is called. Matching takes linear time, since the issuer chooses the value.
"""

import re
from collections.abc import Mapping
from typing import Any

from tenants.values.errors import BadValue

STAR = "*"
_SEPARATOR = re.compile(r"([:/])")
_SEPARATORS = frozenset(":/")
# They are checked for every token, or say nothing of a workload.
RESERVED = frozenset({"iss", "aud", "exp", "iat", "nbf", "jti"})
# Claims that say which workload it is, or whose. Others, such as a branch or an event, say only what it does.
IDENTITY = frozenset(
    {
        *("sub", "azp", "client_id", "appid", "oid", "email"),
        *("repository", "repository_id", "repository_owner", "repository_owner_id"),  # GitHub Actions
        *("project_path", "project_id", "namespace_path", "namespace_id"),  # GitLab
        *("organization_id", "organization_slug", "terraform_organization_id", "terraform_workspace_id"),
    }
)
_OWNED_PATH = re.compile(r"[^*/]+/.+")  # acme/api, acme/*
_EXACT = re.compile(r"[^*]+")
_ANY_IDENTITY = re.compile(r"[^*]+|[^*]{3,}\*.*")
# Issuers that all of their customers share: a pattern has to name whose workload it is.
_SHARED_ISSUERS: Mapping[str, Mapping[str, re.Pattern[str]]] = {
    "https://token.actions.githubusercontent.com": {
        "sub": re.compile(r"repo:[^*/:]+/.+"),
        "repository": _OWNED_PATH,
        **dict.fromkeys(("repository_id", "repository_owner", "repository_owner_id"), _EXACT),
    },
    "https://gitlab.com": {
        "sub": re.compile(r"project_path:[^*/:]+/.+"),
        "project_path": _OWNED_PATH,
        **dict.fromkeys(("project_id", "namespace_id", "namespace_path"), _EXACT),
    },
    "https://accounts.google.com": dict.fromkeys(("sub", "email", "azp"), _EXACT),
}
_GENERAL: Mapping[str, re.Pattern[str]] = dict.fromkeys(IDENTITY, _ANY_IDENTITY)


def check_pattern(pattern: str) -> str:
    """Return the pattern if it has at most one ``*`` in each part. Raises BadValue."""
    if any(part.count(STAR) > 1 for part in _SEPARATOR.split(pattern)):
        raise BadValue("bad_pattern", "Must have at most one * between two of the separators : and /.")
    return pattern


def check_identity(issuer: str, patterns: Mapping[str, str]) -> None:
    """Return when the patterns name a workload, or whose it is. Raises BadValue.

    Without that a rule would trust every workload of the issuer: those of strangers, where the issuer serves many.
    """
    wanted = _SHARED_ISSUERS.get(issuer.rstrip("/"), _GENERAL)
    if not any(name in wanted and wanted[name].fullmatch(pattern) for name, pattern in patterns.items()):
        named = "sub, or another claim that says whose workload it is"
        raise BadValue("too_wide", f"Must have a pattern of {named}, which names it before its first *.")


def unmet(patterns: Mapping[str, str], claims: Mapping[str, Any]) -> str | None:
    """The name of a claim that does not meet its pattern; None when all do."""
    return next((name for name, pattern in patterns.items() if not _meets(pattern, claims.get(name))), None)


def matches(pattern: str, value: str) -> bool:
    """Whether the value meets the pattern."""
    parts = _SEPARATOR.split(pattern)
    separators = len(parts) // 2
    found = _SEPARATOR.split(value, maxsplit=separators) if separators else [value]
    if len(found) != len(parts):
        return False
    *inner, last = zip(parts, found, strict=True)
    return all(_part_matches(*each) for each in inner) and _last_matches(*last)


def _meets(pattern: str, value: object) -> bool:
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, int):
        value = str(value)
    return isinstance(value, str) and matches(pattern, value)


def _last_matches(pattern: str, value: str) -> bool:
    if pattern.endswith(STAR):
        return len(value) >= len(pattern) and value.startswith(pattern[:-1])
    return _part_matches(pattern, value)


def _part_matches(pattern: str, value: str) -> bool:
    before, star, after = pattern.partition(STAR)
    if not star:
        return pattern == value
    if len(value) < len(pattern) or not (value.startswith(before) and value.endswith(after)):
        return False
    return _SEPARATORS.isdisjoint(value)
