"""Signed checkpoints of all chains, kept outside the database, so that no chain can be rewritten unseen (AU2).

A checkpoint is one JSON line: tenant (``operators`` for their log), sequence, hash, time, and an Ed25519 signature by
the key that signs access tokens at that time. What is signed begins with ``_PURPOSE``, so that it can be taken for no
token and no token for it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import orjson
from cryptography.exceptions import InvalidSignature
from joserfc.jwk import OKPKey

from tenants.audit.verifier import ChainEnd
from tenants.identifiers import TENANT, TenantId, read, show

_PURPOSE = b"tenantry audit checkpoint 1\n"
_MEMBERS = ("tenant", "sequence", "hash", "at", "kid")
_SUFFIX = ".jsonl"
_OPERATORS = "operators"

Chain = TenantId | None  # the log of a tenant; None is that of the operators

FindKey = Callable[[str], OKPKey | None]  # by its kid


class CheckpointKeys(Protocol):
    """The part of the signing keys that signs checkpoints."""

    signing_kid: str

    @property
    def signing_key(self) -> OKPKey: ...


@dataclass(slots=True)
class Checkpoints:
    """The checkpoints of some logs as they were read."""

    ends: dict[Chain, list[ChainEnd]] = field(default_factory=lambda: defaultdict(list))
    forged: list[str] = field(default_factory=list)  # places of lines whose signature is wrong
    unknown: set[str] = field(default_factory=set)  # kids of keys that are not there to verify with
    damaged: int = 0  # lines that are not checkpoints, such as the end of a file whose disk was full


def signed(chain: Chain, end: ChainEnd, keys: CheckpointKeys) -> dict[str, Any]:
    """The members of a checkpoint's line."""
    at = (end.signed_at or datetime.now(UTC)).isoformat()
    stated = dict(zip(_MEMBERS, (_shown(chain), end.sequence, end.hash.hex(), at, keys.signing_kid), strict=True))
    key: Any = keys.signing_key.get_op_key("sign")
    return {**stated, "signature": key.sign(_PURPOSE + _stated(stated)).hex()}


def read_checkpoints(path: Path, chains: Collection[Chain] | None, find_key: FindKey) -> Checkpoints:
    """The checkpoints of these logs (None: of all) in a file or a folder of JSON Lines files. Raises OSError."""
    found = Checkpoints()
    files = sorted(path.glob(f"*{_SUFFIX}")) if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                _read_line(line, f"{file.name}, line {number}", chains, find_key, found)
    return found


def _read_line(
    line: bytes, place: str, chains: Collection[Chain] | None, find_key: FindKey, found: Checkpoints
) -> None:
    try:
        members = orjson.loads(line)
        chain = _chain(members["tenant"])
        end = ChainEnd(int(members["sequence"]), bytes.fromhex(members["hash"]), datetime.fromisoformat(members["at"]))
        key, signature = find_key(str(members["kid"])), bytes.fromhex(members["signature"])
    except (ValueError, KeyError, TypeError):
        found.damaged += 1
        return
    if chains is not None and chain not in chains:
        return
    if key is None:
        found.unknown.add(str(members["kid"]))
    elif _is_signed(members, signature, key):
        found.ends[chain].append(end)
    else:
        found.forged.append(place)


def _is_signed(members: Mapping[str, object], signature: bytes, key: OKPKey) -> bool:
    public: Any = key.get_op_key("verify")
    try:
        public.verify(signature, _PURPOSE + _stated(members))
    except InvalidSignature:
        return False
    return True


def _stated(members: Mapping[str, object]) -> bytes:
    return orjson.dumps([members[name] for name in _MEMBERS])


def _shown(chain: Chain) -> str:
    return _OPERATORS if chain is None else show(TENANT, chain)


def _chain(text: str) -> Chain:
    if text == _OPERATORS:
        return None
    tenant = read(TENANT, text)
    if tenant is None:
        raise ValueError("neither the id of a tenant nor the operators' log")
    return TenantId(tenant)


def lines_of(checkpoints: Iterable[Mapping[str, Any]]) -> bytes:
    """The lines of a file."""
    return b"".join(orjson.dumps(each) + b"\n" for each in checkpoints)
