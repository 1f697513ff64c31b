"""routes.toml: every fault has the line of its statement, and what is written is read as the same."""

import pytest

from tenants.errors import ValidationFailed
from tenants.outbound.addresses import is_public
from tenants.roles.permissions import catalogue
from tenants.routes.checks import faults_of
from tenants.routes.schemas import Configuration
from tenants.routes.toml import FileInvalid, RoutesFile, write_toml

_BEFORE = '''# a comment
[[upstreams]]
name = "crm"
targets = [
    { url = "http://10.0.0.5:8080" },
    { url = "http://10.0.0.6:8080" },
]
[upstreams.health]

[[routes]]
name = "first"
path = "/first"
upstream = "crm"
permission = "echo:use"
[routes.response_fields.set]
X-Text = """
[[routes]]
name = "in a text"
"""

[[routes]]
name = "second"
path = "/second"
upstream = "crm"
permission = "echo:use"
'''
_AFTER = """
[[routes]]
name = "third"
path = "/third"
upstream = "crm"
permission = "echo:use"
"""
_FIRST = _BEFORE.count("\n") + 1  # the line at which the fault begins
_TABLE = _BEFORE[: _BEFORE.index('name = "second"')].count("\n")


def _faults(text: str) -> tuple[str, ...]:
    source = RoutesFile(text)
    try:
        found = tuple(faults_of(source.configuration(), catalogue(()), is_public, ()))
    except FileInvalid as error:
        return error.faults
    return source.refused(ValidationFailed(found)).faults


@pytest.mark.parametrize(
    ("wrong", "line", "pointer"),
    [
        ('methods = ["GETS"]', _FIRST, "/routes/1/methods/0"),
        ("costs = 1", _FIRST, "/routes/1/costs"),
        ('hosts = [\n    "a.example",\n    "B.example",\n]', _FIRST, "/routes/1/hosts/1"),
        ("[routes.request_fields.set]\nHost = 'x'", _FIRST + 1, "/routes/1/request_fields/set/Host"),
        ("[routes.permissions]\nGETS = 'a:b'", _FIRST + 1, "/routes/1/permissions/GETS"),
        ("cache.default_seconds = -1", _FIRST, "/routes/1/cache/default_seconds"),
        ("access = 'public'", _FIRST, "/routes/1/access"),
        ("permissions = { GET = 'api_keys:x' }", _FIRST, "/routes/1/permissions"),
    ],
    ids=str,
)
def test_a_fault_in_the_middle_has_the_line_of_its_statement(wrong: str, line: int, pointer: str) -> None:
    """Also of a value over several lines, of a table, and with the line ends of other systems."""
    text = _BEFORE.replace('X-Text = """\n[[routes]]\nname = "in a text"\n"""', "X-Text = '''[[routes]]'''\n\n\n")
    for ends in (text + wrong + "\n" + _AFTER, (text + wrong + "\n" + _AFTER).replace("\n", "\r\n")):
        assert [each.rpartition(": ")[0].partition(": /")[::2] for each in _faults(ends)] == [
            (f"line {line}", pointer.removeprefix("/"))
        ]


def test_what_is_missing_has_the_line_of_its_table() -> None:
    text = (_BEFORE + _AFTER).replace('name = "second"\npath = "/second"\n', 'name = "second"\n')
    assert f"line {_TABLE}: /routes/1/path: Field required" in _faults(text)


def test_what_is_no_toml_has_its_line() -> None:
    assert _faults(_BEFORE + "cost = = 1") == (f"Invalid value (at line {_FIRST}, column 8)",)


def test_what_is_written_is_read_as_the_same() -> None:
    """Empty tables, quotes and controls included: a terminal acts on no character of it."""
    spec = {
        "upstreams": [
            {
                "name": "crm",
                "targets": [{"url": "https://a", "weight": 2}],
                "by_tenant": {"42": [{"url": "https://b"}]},
                "health": {},
                "tls": {"verify": False},
            }
        ],
        "routes": [
            {
                "name": "echo",
                "upstream": "crm",
                "path": "/{id}",
                "permissions": {"GET": "a:b", "POST": "a:c"},
                "methods": ["GET", "POST"],
                "request_fields": {"set": {"X-~A": 'é"\t\u009b'}, "remove": ["X-B"]},
                "websocket": {},
                "first_byte_seconds": 0.5,
            }
        ],
    }
    configuration = Configuration.model_validate(spec)
    text = write_toml(configuration)
    assert RoutesFile(text).configuration() == configuration
    assert "\u009b" not in text
    assert RoutesFile(write_toml(Configuration())).configuration() == Configuration()
