"""Filters and paths of SCIM: what providers send is read, everything else is refused (RFC 7644)."""

import time

import pytest

from tenants.scim.errors import InvalidFilter, InvalidPath
from tenants.scim.paths import MOST_CHARACTERS, Path, Selection, Term, parse_filter, parse_path

_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ('userName eq "ada@example.com"', (Term(Path("username"), "ada@example.com"),)),
        ('USERNAME EQ "a"', (Term(Path("username"), "a"),)),
        (r'displayName eq "say \"hi\" and \\"', (Term(Path("displayname"), 'say "hi" and \\'),)),
        ('externalId eq "a and b"', (Term(Path("externalid"), "a and b"),)),
        ('id eq "x" and members eq "y"', (Term(Path("id"), "x"), Term(Path("members"), "y"))),
        (
            'emails[type eq "work"].value eq "a@b"',
            (Term(Path("emails", "value", Selection("type", "work")), "a@b"),),
        ),
        ("active eq True", (Term(Path("active"), value=True),)),
    ],
)
def test_the_filters_of_providers_are_read(text: str, terms: tuple[Term, ...]) -> None:
    assert parse_filter(text) == terms


@pytest.mark.parametrize(
    "text",
    [
        "",
        "userName",
        'userName co "a"',
        'userName eq "a" or userName eq "b"',
        'not (userName eq "a")',
        "userName eq a",
        'userName eq "a',
        r'userName eq "\x"',
        'userName eq "a" and',
        'userName eq "a") or ("" eq "',
        " and ".join(['userName eq "a"'] * 6),
        f'userName eq "{"a" * MOST_CHARACTERS}"',
    ],
)
def test_other_filters_are_refused(text: str) -> None:
    with pytest.raises(InvalidFilter):
        parse_filter(text)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("active", Path("active")),
        ("name.familyName", Path("name", "familyname")),
        ('emails[type eq "work"].value', Path("emails", "value", Selection("type", "work"))),
        ("addresses[primary eq true]", Path("addresses", None, Selection("primary", value=True))),
        (f"{_ENTERPRISE}:department", Path("department", schema=_ENTERPRISE)),
        (f"{_ENTERPRISE}:manager.value", Path("manager", "value", schema=_ENTERPRISE)),
    ],
)
def test_the_paths_of_providers_are_read(text: str, path: Path) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    "text", ["", "a b", "a.b.c", "a[b]", 'a[b ne "c"]', 'a[b eq "c"', r'a[b eq "\x"]', "..", "1a", "a" * 1001]
)
def test_other_paths_are_refused(text: str) -> None:
    with pytest.raises(InvalidPath):
        parse_path(text)


@pytest.mark.parametrize("unit", ["a:", "urn:", '"\\', "a.", "[a eq ", ' and a eq "b"'])
def test_no_text_holds_the_event_loop(unit: str) -> None:
    """LD1: neither parser tries again and again."""
    text = ("urn:" + unit * MOST_CHARACTERS)[:MOST_CHARACTERS]
    began = time.perf_counter()
    with pytest.raises(InvalidFilter):
        parse_filter(text)
    with pytest.raises(InvalidPath):
        parse_path(text + "!")
    assert time.perf_counter() - began < 0.05
