"""Windows in the form that the script, the counters and the header fields need."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle.windows import WindowSet, window_set
from tenants.principal import Window

_FREE = (Window("burst", 10, 1), Window("sustained", 120, 60))


def _set(*windows: Window) -> WindowSet:
    found = window_set(windows)
    assert found is not None
    return found


def test_the_fields_have_one_member_for_each_window() -> None:
    """The two-field form of draft-ietf-httpapi-ratelimit-headers-11."""
    windows = _set(*_FREE)
    assert windows.policy_field[1] == b'"burst";q=10;w=1, "sustained";q=120;w=60'
    assert windows.limit_template((0.2, 47.1)) % (9, 60) == b'"burst";r=9;t=1, "sustained";r=60;t=48'


def test_the_tightest_of_windows_with_one_length_counts() -> None:
    windows = _set(Window("a", 10, 1), Window("b", 5, 1))
    assert windows.policy_field[1] == b'"b";q=5;w=1'


def test_a_keys_window_has_another_name_than_the_plans() -> None:
    """TH2: both apply, and a client can tell them apart though they were configured under one name."""
    windows = _set(*_FREE, Window("burst", 2, 1, "key"))
    assert windows.policy_field[1] == b'"burst";q=10;w=1, "sustained";q=120;w=60, "key-burst";q=2;w=1'
    assert orjson.loads(windows.script_argument()) == [[1, 10_000, 10], [1, 600_000, 120], [2, 10_000, 2]]
    assert windows.quota == 2


def test_each_limit_of_a_family_has_a_counter_and_a_name_of_its_own() -> None:
    """ID16, TH2: a key is charged to its own window and to its maker's, which have the same name and length."""
    windows = _set(Window("burst", 10, 1), Window("burst", 3, 60, "child"), Window("burst", 5, 60, "maker"))
    assert windows.policy_field[1] == b'"burst";q=10;w=1, "key-burst";q=3;w=60, "key-burst-2";q=5;w=60'
    assert orjson.loads(windows.script_argument()) == [[1, 10_000, 10], [2, 600_000, 3], [3, 600_000, 5]]
    assert windows.counters == ("", "child", "maker")


def test_a_reset_is_never_longer_than_its_window() -> None:
    """A leased token counts until its lease and its window have ended, which is no wait for the client."""
    windows = _set(*_FREE)
    at_the_bound, beyond = windows.limit_template((1.0, 60.0)), windows.limit_template((31.6, 90.2))
    assert at_the_bound == beyond == b'"burst";r=%d;t=1, "sustained";r=%d;t=60'


def test_a_plan_without_windows_limits_nothing() -> None:
    assert window_set(()) is None


def test_a_small_quota_is_never_leased_ahead_of_need() -> None:
    """None of 10 concurrent requests may be refused because another worker holds its token."""
    assert _set(*_FREE).max_ahead == 0
    assert _set(Window("burst", 1000, 1)).max_batch == 31


@given(st.text(max_size=30))
def test_no_name_can_end_its_quotes_or_the_field(name: str) -> None:
    """The creator of a key names its windows."""
    windows = _set(Window(name, 1, 1))
    for field in (windows.policy_field[1], windows.limit_template((0.5,)) % (1,)):
        inner = field[1 : field.rindex(b'";')]
        unescaped = inner.replace(b"\\\\", b"").replace(b'\\"', b"")
        assert b'"' not in unescaped
        assert b"\\" not in unescaped
        assert all(0x20 <= byte < 0x7F for byte in field)
