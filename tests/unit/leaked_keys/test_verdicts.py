"""What cannot be a key costs no look-up."""

import re
from hashlib import sha256
from pathlib import Path

import pytest

from tenants.audit.origin import SYSTEM
from tenants.errors import Unavailable
from tenants.leaked_keys.schemas import ReportedMatch, Verdict
from tenants.secrets.tokens import SecretKind, generate
from tests.fixtures.unconnected import unconnected_services

pytestmark = pytest.mark.anyio


def _mistyped(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


def test_the_documented_pattern_finds_every_key_and_nothing_else_of_ours() -> None:
    """ID1: what GitHub is given to search for."""
    document = Path("docs/deployment.md").read_text(encoding="utf-8")
    pattern = re.search(r"`(tn_\S+)` \|\n\| prefix", document)
    assert pattern is not None
    found = {kind for kind in SecretKind if re.fullmatch(pattern[1], generate(kind))}
    assert found == {SecretKind.LIVE, SecretKind.TEST, SecretKind.OPERATOR}


async def _verdicts(*found: str) -> list[Verdict]:
    """Of a deployment whose PostgreSQL is unreachable."""
    matches = [ReportedMatch(token=each, type="tenantry_api_key") for each in found]
    return await unconnected_services().features.leaked_keys.end(matches, SYSTEM)


async def test_a_token_with_a_wrong_checksum_or_of_another_kind_causes_no_look_up() -> None:
    """ID1: the answers are in the order of the report, and name each token by its hash alone (SE2)."""
    found = [_mistyped(generate(kind)) for kind in SecretKind]
    found += [generate(SecretKind.REFRESH), generate(SecretKind.LINK), "", "tn_live_", "tn_live_é" + "a" * 41, "🔑"]
    verdicts = await _verdicts(*found)
    assert {each.label for each in verdicts} == {"false_positive"}
    assert [each.token_hash for each in verdicts] == [sha256(each.encode()).hexdigest() for each in found]


@pytest.mark.parametrize("kind", [SecretKind.LIVE, SecretKind.TEST, SecretKind.OPERATOR])
async def test_a_token_that_may_be_a_key_is_looked_up_and_an_outage_is_no_verdict(kind: SecretKind) -> None:
    """ID1's other half: what is not known because PostgreSQL is unreachable is not answered as false."""
    with pytest.raises(Unavailable):
        await _verdicts(generate(kind))
