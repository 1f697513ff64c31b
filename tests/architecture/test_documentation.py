"""The documentation refers to files that exist, and the decision records are numbered and indexed."""

import re
from pathlib import Path

from tenants.routes import schemas
from tests.architecture.sources import LAYERS, ROOT, shown, text_files

_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
_ANCHOR = re.compile(r"\]\(([^):\s]*)#([^)]+)\)")
_PATH = re.compile(
    rf"`((?:{'|'.join((*LAYERS, 'tests', 'docs', 'examples', 'benchmarks'))})/[\w./-]+)`",
)
_RECORDS = ROOT / "docs/decisions"
_NAMED_RECORD = re.compile(r"docs/decisions/(\d{4})")


def _documents() -> list[Path]:
    return [path for path in text_files() if path.suffix == ".md"]


def test_every_link_leads_to_a_file() -> None:
    broken = [
        f"{shown(path)}: {target}"
        for path in _documents()
        for target in _LINK.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / target).exists()
    ]
    assert broken == []


def test_every_anchor_is_a_heading() -> None:
    broken = [
        f"{shown(path)}: {target}#{anchor}"
        for path in _documents()
        for target, anchor in _ANCHOR.findall(path.read_text(encoding="utf-8"))
        if anchor not in _anchors(path.parent / target if target else path)
    ]
    assert broken == []


def _anchors(document: Path) -> set[str]:
    """Anchors of the headings, as GitHub derives them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_path_in_a_document_exists() -> None:
    missing = {
        f"{shown(path)}: {named}"
        for path in _documents()
        for named in _PATH.findall(path.read_text(encoding="utf-8"))
        if not (ROOT / named).exists()
    }
    assert missing == set()


def test_decision_records_are_numbered_once_and_indexed() -> None:
    files = sorted(path.name for path in _RECORDS.glob("[0-9]*.md"))
    numbers = [int(name[:4]) for name in files]
    assert len(set(numbers)) == len(numbers)
    for name, number in zip(files, numbers, strict=True):
        title = (_RECORDS / name).read_text(encoding="utf-8").splitlines()[0]
        assert title.startswith(f"# {number}. "), name
    index = (_RECORDS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^(\d+)\. \[.+\]\((.+)\)$", index, re.MULTILINE) == [
        (str(number), name) for name, number in zip(files, numbers, strict=True)
    ]


def test_every_decision_record_that_code_names_exists() -> None:
    files = {path.name[:4] for path in _RECORDS.glob("[0-9]*.md")}
    missing = {
        f"{shown(path)}: {number}"
        for path in text_files()
        for number in _NAMED_RECORD.findall(path.read_text(encoding="utf-8"))
        if number not in files
    }
    assert missing == set()


def test_the_searches_find_links_and_paths() -> None:
    """The rules above can fail."""
    assert _LINK.findall("see [a](docs/a.md), [b](../b.md#c) and [d](https://example.com)") == ["docs/a.md", "../b.md"]
    assert _PATH.findall("`gateway/app.py` and `tenants/<feature>/models.py`") == ["gateway/app.py"]


def test_every_field_of_routes_toml_is_described() -> None:
    text = (ROOT / "docs/deployment.md").read_text(encoding="utf-8")
    section = text[text.index("## Routes and upstreams") : text.index("\n## Browsers")]
    described = {name for each in re.findall(r"`\[*([a-z_.]+)\]*`", section) for name in each.split(".")}
    models = (each for each in vars(schemas).values() if isinstance(each, type) and issubclass(each, schemas.Part))
    fields = {name for model in models if model is not schemas.Configuration for name in model.model_fields}
    assert fields - described - {"url", "weight"} == set()
