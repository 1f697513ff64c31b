"""What a list of sessions shows of a client."""

import pytest

from tenants.sign_in.client import ClientInfo


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux)", "Mozilla/5.0 (X11; Linux)"),
        ("", ""),
        ("a\x1b[2Jb\x9bc\r\nd\u202ee", "a[2Jbcde"),
        ("x" * 5000, "x" * 200),
        (" \t ", ""),
    ],
)
def test_a_user_agent_is_bounded_printable_text(sent: str, shown: str) -> None:
    """SE2: it is shown to people, in pages and terminals; anyone can send anything."""
    assert ClientInfo.of(sent).user_agent == shown
