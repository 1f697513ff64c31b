"""Patterns of claims: what they match, and which of them name nobody."""

import time

import pytest

from tenants.values.errors import BadValue
from tenants.workloads.patterns import check_identity, check_pattern, matches, unmet

_GITHUB = "https://token.actions.githubusercontent.com"
_GITLAB = "https://gitlab.com"
_OWN = "https://kubernetes.acme.example"


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("repo:acme/api:ref:refs/heads/main", "repo:acme/api:ref:refs/heads/main", True),
        ("repo:acme/api:ref:refs/heads/main", "repo:acme/api:ref:refs/heads/main2", False),
        ("repo:acme/api:ref:refs/heads/main", "repo:acme/api:ref:refs/heads/main/x", False),
        ("repo:acme/api:ref:refs/heads/main", "repo:ACME/api:ref:refs/heads/main", False),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/api:ref:refs/heads/main", True),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/:ref:refs/heads/main", False),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/a/b:ref:refs/heads/main", False),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/a:ref:refs/heads/x:ref:refs/heads/main", False),
        ("repo:acme/api-*:environment:prod", "repo:acme/api-v2:environment:prod", True),
        ("repo:acme/*-api:environment:prod", "repo:acme/v2-api:environment:prod", True),
        ("repo:acme/*-api:environment:prod", "repo:acme/-api:environment:prod", False),
        ("repo:acme/a*a", "repo:acme/a", False),
        ("repo:acme/*", "repo:acme/api:ref:refs/heads/main", True),
        ("repo:acme/*", "repo:acme/", False),
        ("repo:acme/*", "repo:acme", False),
        ("repo:acme/*", "repo:acme2/api", False),
        ("acme*", "acme", False),
        ("acme*", "acme-2:any/thing", True),
        ("acme", "acme", True),
        ("*", "", False),
        ("a:b", "a/b", False),
        ("a.c", "abc", False),
    ],
)
def test_what_a_pattern_matches(pattern: str, value: str, expected: bool) -> None:  # noqa: FBT001
    """AZ9: a star stays within its part, but for one at the end; everything else is literal."""
    assert matches(pattern, value) is expected


def test_matching_takes_linear_time() -> None:
    """LD1: the issuer chooses the value."""
    pattern, value = "a*a:" * 60 + "b", "a" * 100_000
    began = time.perf_counter()
    assert not matches(check_pattern(pattern), value)
    assert not matches(check_pattern("*/" * 100 + "b"), "a/" * 50_000)
    assert time.perf_counter() - began < 0.5


def test_a_part_has_one_star() -> None:
    """So that matching needs no search."""
    assert check_pattern("repo:a*b/*c:*") == "repo:a*b/*c:*"
    for pattern in ("**", "a*b*", "repo:acme/*a*"):
        with pytest.raises(BadValue):
            check_pattern(pattern)


@pytest.mark.parametrize(
    ("issuer", "patterns", "expected"),
    [
        (_OWN, {"sub": "system:serviceaccount:prod:api"}, True),
        (_OWN, {"sub": "sys*"}, True),
        (_OWN, {"sub": "sy*"}, False),
        (_OWN, {"sub": "*"}, False),
        (_OWN, {"environment": "prod"}, False),
        (_OWN, {"environment": "prod", "client_id": "api"}, True),
        (_GITHUB, {"sub": "repo:acme/*"}, True),
        (_GITHUB, {"sub": "repo:*"}, False),
        (_GITHUB, {"sub": "repo:acme*"}, False),
        (_GITHUB, {"sub": "repo:*/api:ref:refs/heads/main"}, False),
        (_GITHUB, {"sub": "repo:acme*/api"}, False),
        (_GITHUB, {"sub": "repo:*", "repository_owner": "acme"}, True),
        (_GITHUB, {"repository_owner": "acme*"}, False),
        (_GITHUB, {"repository": "acme/*"}, True),
        (_GITHUB, {"repository": "*/api"}, False),
        (_GITHUB, {"client_id": "anything"}, False),
        (f"{_GITHUB}/", {"ref": "refs/heads/main"}, False),
        (_GITLAB, {"sub": "project_path:acme/api:*"}, True),
        (_GITLAB, {"sub": "project_path:*"}, False),
        (_GITLAB, {"namespace_path": "acme"}, True),
    ],
)
def test_a_rule_names_whose_workload_it_is(
    issuer: str,
    patterns: dict[str, str],
    expected: bool,  # noqa: FBT001
) -> None:
    """AZ5: else every customer of the issuer would be let in."""
    if expected:
        check_identity(issuer, patterns)
    else:
        with pytest.raises(BadValue, match=r"whose workload"):
            check_identity(issuer, patterns)


def test_every_pattern_must_be_met() -> None:
    """Texts, whole numbers and booleans are compared as they are written; nothing else is met."""
    patterns = {"sub": "a", "number": "12", "flag": "true"}
    good = {"sub": "a", "number": 12, "flag": True, "more": 1}
    assert unmet(patterns, good) is None
    for name, value in (("sub", None), ("sub", ["a"]), ("number", 12.0), ("number", True), ("flag", 1), ("flag", {})):
        assert unmet(patterns, good | {name: value}) == name
    assert unmet({"absent": "*"}, good) == "absent"
