"""Origins are read into the one form in which browsers send them; everything else is refused."""

import pytest

from tenants.values.errors import BadValue
from tenants.values.origins import read_origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("HTTPS://App.Example.COM:443", "https://app.example.com"),
        ("https://app.example.com:8443", "https://app.example.com:8443"),
        ("https://app.example.com:0443", "https://app.example.com"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://192.0.2.1", "https://192.0.2.1"),
        ("https://[2001:DB8:0::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("http://[::1]:5173", "http://[::1]:5173"),
    ],
)
def test_an_origin_has_one_form(text: str, origin: str) -> None:
    """Compared byte by byte with what a browser sends."""
    assert read_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "null", "https://", "https://*", "https://*.example.com", "app.example.com", "//app.example.com"),
        *("https://app.example.com/", "https://app.example.com/a", "https://app.example.com?", "https://a.example#b"),
        *("https://user@app.example.com", "https://a.example,https://b.example", "https://a.example b.example"),
        *("https://app.example.com.", "https://.example.com", "https://a..example", "https://-a.example"),
        *("https://a.example:", "https://a.example:0", "https://a.example:65536", "https://a.example:x"),
        *("https://1.2.3", "https://192.0.2.01", "https://0x7f.1", "https://[::1", "https://[::1%25eth0]"),
        *("ftp://a.example", "file://", "chrome-extension://abc", "https://bücher.example", "https://\u212a.example"),
        *("https://a.example\r\nX: y", "https://a.example\0", f"https://{'a' * 64}.example"),
        f"https://{'.'.join(['a' * 60] * 5)}",
    ],
)
def test_what_no_page_has_as_its_origin_is_refused(text: str) -> None:
    with pytest.raises(BadValue) as refused:
        read_origin(text)
    assert refused.value.code == "bad_origin"


@pytest.mark.parametrize("text", ["http://app.example.com", "http://localhost.example.com", "http://192.0.2.1"])
def test_plain_http_is_for_the_developers_machine(text: str) -> None:
    """A page that anyone on the network can replace must read nothing."""
    with pytest.raises(BadValue) as refused:
        read_origin(text)
    assert refused.value.code == "insecure_origin"
