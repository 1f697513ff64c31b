"""URLs that others give."""

import pytest

from tenants.outbound.urls import origin_of_url, read_secure_url, read_url
from tenants.values.errors import BadValue


@pytest.mark.parametrize(
    "text",
    [
        "",
        "//host/path",
        "https://",
        "https:///path",
        "https://user@host/",
        "https://host/#f",
        "https://host/#",
        "https://host:99999/",
        "https://host\\@evil/",
        "https://ho st/",
        "https://host/\n",
        "https://h\u00f6st/",
        "https://[::1/",
        "file:///etc/passwd",
        f"https://host/{'x' * 2000}",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(text: str) -> None:
    """PX1: one URL means one host."""
    with pytest.raises(BadValue):
        read_url(text)


def test_plain_http_is_for_this_machine_in_development() -> None:
    for text in ("http://127.0.0.1:1/", "http://localhost/", "http://[::1]/"):
        assert read_secure_url(text, allow_loopback_http=True).scheme == "http"
        with pytest.raises(BadValue):
            read_secure_url(text)
    with pytest.raises(BadValue):
        read_secure_url("http://127.0.0.1.example.com/", allow_loopback_http=True)


def test_origins_are_written_as_browsers_do() -> None:
    """RFC 6454: without the scheme's own port."""
    origins = [
        origin_of_url(read_url(each)) for each in ("https://A.example:443/x", "http://[::1]:80", "http://h:8080/?q")
    ]
    assert origins == ["https://a.example", "http://[::1]", "http://h:8080"]
