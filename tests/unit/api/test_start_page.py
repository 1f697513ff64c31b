"""Who gets the start page as HTML."""

import pytest

from gateway.api.start_page import prefers_html


@pytest.mark.parametrize(
    "accept",
    [
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/html",
        "TEXT/HTML; q=1.0, application/json;q=0.9",
        "text/*",
        "application/json;q=0, */*",
    ],
)
def test_html_is_for_those_who_rank_it_higher(accept: str) -> None:
    """RFC 9110 section 12.5.1: a specific range overrides a general one."""
    assert prefers_html(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "text/html, application/json",
        "text/html;q=x",
        "text/html;q=0, */*",
        ";;,,q=",
        "a/b",
    ],
)
def test_json_is_for_all_others(accept: str) -> None:
    """Also where the field is malformed."""
    assert not prefers_html(accept)
