"""Public text uses the field's terms: documents, errors, command line, API reference and settings.

To widen the rule, add a phrase to ``_BANNED`` or a source to ``_SOURCES``.
"""

import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, cast

import pytest
import typer

from gateway.cli.main import app as command_line
from gateway.openapi.editions import EDITIONS
from gateway.settings import Settings
from tenants.errors import TenantryError
from tests.architecture.sources import LAYERS, shown, text_files
from tests.fixtures.unconnected import unconnected_api

# Phrase: what to write instead.
_BANNED: dict[str, str] = {
    r"who(so)?m?ever": "name the subject: caller, operator, worker",
    r"(no|some|every)body('s)?": "name the subject, or use the passive",
    r"stands?(?!-)|stood|standing": "is, is at, remains; status",
    r"lies|lying|lie ready": "is, remains",
    r"(is|are|be|was|were) told|told of|tells": "receives, is notified, returns, reports",
    r"house|rooms?|doors?": "the part's name: gateway, schema, listener",
    r"ow(e|es|ed)": "must, is due",
    r"gives? way": "has a lower priority",
    r"(in|at) hand": "in flight, available",
    r"anew|afresh": "again",
    r"as often as one likes": "repeatedly",
    r"poured": "written, copied",
    r"is (heard|believed)|are (heard|believed)": "is received, is trusted",
}
_PATTERN = re.compile("|".join(rf"\b(?:{phrase})\b" for phrase in _BANNED), re.IGNORECASE)
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)

Texts = Iterator[tuple[str, str]]  # where, and what is written there


def _documents() -> Texts:
    for path in text_files():
        if path.suffix == ".md":
            yield shown(path), _CODE.sub("", path.read_text(encoding="utf-8"))


def _errors() -> Texts:
    for layer in LAYERS:
        for found in pkgutil.walk_packages(import_module(layer).__path__, f"{layer}."):
            if ".versions" not in found.name and not found.name.endswith((".env", ".__main__")):
                import_module(found.name)
    for error in _subclasses(TenantryError):
        yield f"{error.__module__}.{error.__name__}", f"{getattr(error, 'title', '')}\n{error.message}"


def _subclasses(base: type[TenantryError]) -> Iterator[type[TenantryError]]:
    for each in base.__subclasses__():
        yield each
        yield from _subclasses(each)


def _command_line() -> Texts:
    yield from _help_of(typer.main.get_command(command_line), "tenantry")


def _help_of(command: Any, name: str) -> Texts:
    options = "\n".join(getattr(each, "help", None) or "" for each in command.params)
    yield name, f"{command.help or ''}\n{options}"
    if hasattr(command, "list_commands"):
        context = typer.Context(command)
        for each in command.list_commands(context):
            yield from _help_of(command.get_command(context, each), f"{name} {each}")


def _api_reference() -> Texts:
    documents = unconnected_api().state.documents
    for edition in EDITIONS:
        yield from _descriptions(edition.title, documents.describe(edition))


def _descriptions(where: str, value: object) -> Texts:
    if isinstance(value, Mapping):
        for name, each in cast("Mapping[str, object]", value).items():
            if name in {"description", "summary", "title"} and isinstance(each, str):
                yield f"{where}/{name}", each
            else:
                yield from _descriptions(f"{where}/{name}", each)
    elif isinstance(value, list):
        for number, each in enumerate(cast("list[object]", value)):
            yield from _descriptions(f"{where}/{number}", each)


def _settings() -> Texts:
    for name, field in Settings.model_fields.items():
        yield name, field.description or ""


_SOURCES: dict[str, Callable[[], Texts]] = {
    "documents": _documents,
    "errors": _errors,
    "command line": _command_line,
    "API reference": _api_reference,
    "settings": _settings,
}


@pytest.mark.parametrize("source", _SOURCES)
def test_public_text_uses_the_fields_terms(source: str) -> None:
    found = [
        f"{where}: {match[0]!r} in {_around(text, match)!r}"
        for where, text in _SOURCES[source]()
        for match in _PATTERN.finditer(text)
    ]
    assert found == [], "see _BANNED for what to write instead"


def _around(text: str, match: re.Match[str]) -> str:
    return " ".join(text[max(0, match.start() - 30) : match.end() + 30].split())


@pytest.mark.parametrize(
    "phrase", ["Whoever stands here.", "Nobody is told.", "The rooms of the house", "what lies ready"]
)
def test_the_pattern_finds_slips(phrase: str) -> None:
    """The rule above can fail."""
    assert _PATTERN.search(phrase)


@pytest.mark.parametrize("phrase", ["a Stripe stand-in", "a household name", "understands", "a bedroom"])
def test_the_pattern_does_not_find_other_words(phrase: str) -> None:
    assert not _PATTERN.search(phrase)


@pytest.mark.parametrize("source", _SOURCES)
def test_every_source_has_text(source: str) -> None:
    """A source that yields nothing would pass without checking anything."""
    assert sum(len(text) for _, text in _SOURCES[source]()) > 500
