"""Where a key was found is a text of others: it is cleaned before it is stored, mailed or logged."""

from itertools import count

import pytest

from tenants.leaked_keys.place import LONGEST_URL, place_of
from tenants.secrets.tokens import SecretKind, generate

_TOKEN = generate(SecretKind.LIVE)
_SITE = "https://github.com"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (f"{_SITE}/a/b/blob/1234/c.py#L10-L12", f"{_SITE}/a/b/blob/1234/c.py#L10-L12"),
        (f"{_SITE}/a?token={_TOKEN}#access_token=1", f"{_SITE}/a"),
        (f"{_SITE}/{_TOKEN}/x", f"{_SITE}/tn_…/x"),
        ("https://ada:hunter2@github.com:8443/a", f"{_SITE}:8443/a"),
        ("http://[2001:db8::1]/a", "http://[2001:db8::1]/a"),
        (f"{_SITE}/\u202ea", f"{_SITE}/\\u202ea"),
        (f"{_SITE}/" + "a" * (LONGEST_URL - 19), f"{_SITE}/" + "a" * (LONGEST_URL - 19)),
        (f"{_SITE}/" + "a" * LONGEST_URL, f"{_SITE}/" + "a" * (LONGEST_URL - 19)),
        ("javascript:alert(1)", None),
        ("/a/b", None),
        ("https://[::1/a", None),
        ("https://github.com:port/a", None),
        ("", None),
        (None, None),
    ],
    ids=count(),  # the values are random: a name of a test must not be
)
def test_a_url_shows_the_place_and_no_secret(given: str | None, kept: str | None) -> None:
    """SE2: no login, no query, no token; bounded, and nothing that acts on what shows it."""
    assert place_of("commit", given).url == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [("Pull_request_title", "pull_request_title"), ("a" * 40, "a" * 40), ("a" * 41, "unknown"), ("<b>", "unknown")],
)
def test_a_source_is_a_short_word(given: str, kept: str) -> None:
    """SE2."""
    assert place_of(given, None).source == kept
    assert place_of(None, None).source == "unknown"
