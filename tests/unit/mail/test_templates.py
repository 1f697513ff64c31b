"""Messages as they are rendered."""

from dataclasses import replace

import pytest
from jinja2 import UndefinedError

from tenants.mail import templates
from tenants.mail.templates import Invited, PasswordReset, render

_RESET = PasswordReset(product="Acme", link="https://acme.example/reset?token=abc&next=1", valid_minutes=30)


def test_a_password_reset_says_what_to_do_in_text_and_html() -> None:
    """Link, how long it works, and what to do when nobody asked."""
    content = render(_RESET)
    assert content.subject == "Reset your Acme password"
    for part in (content.text, content.html):
        assert "30 minutes" in part
        assert "If you did not ask for this" in part
    assert content.text.count("https://acme.example/reset?token=abc&next=1") == 1
    assert '<a href="https://acme.example/reset?token=abc&amp;next=1">' in content.html
    assert "Subject:" not in content.text


def test_an_invitation_says_who_invites_and_what_to_do_once_it_has_expired() -> None:
    """ID12: the link works for an hour, the invitation for longer."""
    content = render(Invited("Acme", "<i>Initech</i>", "https://acme.example/invitation#token=abc", 60))
    assert content.subject == "<i>Initech</i> invites you to Acme"
    assert content.text.count("https://acme.example/invitation#token=abc") == 1
    assert '<a href="https://acme.example/invitation#token=abc">' in content.html
    assert "&lt;i&gt;Initech&lt;/i&gt;" in content.html
    for part in (content.text, content.html):
        assert "60 minutes" in part
        assert "If it has expired" in part


def test_values_are_escaped_in_html_and_left_alone_in_text() -> None:
    """SE2: a name with markup, as a tenant may choose one, is shown and not run."""
    content = render(replace(_RESET, product='<script>alert(1)</script> & "Co"'))
    assert "<script>" not in content.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;Co&#34;" in content.html
    assert '<script>alert(1)</script> & "Co"' in content.text


@pytest.mark.parametrize("product", ["Acme\r\nBcc: all@example.com", "Acme\n\nBody", "Acme\tCo"])
def test_a_subject_is_one_line_whatever_the_values_hold(product: str) -> None:
    """A line break in a value would end the header, and begin another one."""
    subject = render(replace(_RESET, product=product)).subject
    assert subject.isprintable()
    assert subject.startswith("Reset your Acme")


def test_a_template_that_asks_for_more_than_it_gets_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message with a hole in it is never sent."""
    monkeypatch.setattr(templates, "fields", lambda _: ())
    with pytest.raises(UndefinedError):
        render(_RESET)


def test_the_content_of_a_message_is_never_printed() -> None:
    """SE2: logs must not hold a link that signs in."""
    assert "token=abc" not in repr(render(_RESET))
