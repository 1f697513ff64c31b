"""Random edits of a real audit log by a superuser: every one is found (AU2).

`make test` makes 60 of them and `make soak` 10,000, the same ones every time; a failure names its edit.
"""

from random import Random
from typing import LiteralString

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from tenants.audit.origin import SYSTEM
from tenants.crud import service
from tenants.resources.registry import load_registry
from tests.fixtures.audit import chain, verify
from tests.fixtures.gateways import Gateway

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1200)]

_CONTACTS = load_registry("examples.crm.resources")["contacts"]
_EVENTS = 24
_ROUNDS = 10_000 if (settings.default or settings()).max_examples > 1_000 else 60  # `make soak`, or the suite
_SET: tuple[LiteralString, ...] = (
    "id = gen_random_uuid()",
    "type = type || 'x'",
    "object_id = gen_random_uuid()",
    "actor_kind = 'user'",
    "actor_id = gen_random_uuid()",
    "before = '{{}}'",
    'after = after || \'{{"name": "Eve"}}\'',
    "created_at = created_at - interval '1 microsecond'",
    "category = 'management'",
    "request_id = coalesce(request_id || ' ', '')",
    "source = '203.0.113.9'",
    "reason = 'none'",
    "hash = sha256(hash)",
    "sequence = -sequence",
)
_EDITS: tuple[LiteralString, ...] = (
    *("UPDATE {log} SET " + each + " WHERE sequence = %(first)s" for each in _SET),  # noqa: S608 - written above
    "DELETE FROM {log} WHERE sequence = %(first)s",
    "DELETE FROM {log} WHERE sequence BETWEEN %(first)s AND %(second)s",
    "DELETE FROM {log} WHERE sequence >= %(first)s",
    (
        "UPDATE {log} AS a SET after = b.after, created_at = b.created_at, id = gen_random_uuid() FROM {log} AS b"
        " WHERE a.sequence = %(first)s AND b.sequence = %(second)s"
    ),
    (
        "INSERT INTO {log} (id, type, object_id, actor_kind, sequence, hash) SELECT gen_random_uuid(), type, object_id,"
        " actor_kind, sequence + 100, hash FROM {log} WHERE sequence = %(first)s"
    ),
)


async def test_every_random_edit_of_a_real_log_is_found(gateway: Gateway) -> None:
    """AU2: each edit is made, found, and undone from a copy; the log is good again before the next one."""
    work = gateway.services.database.statements(gateway.acme.ref)
    for number in range(_EVENTS):
        await service.create(work, _CONTACTS, {"name": f"contact {number}"}, origin=SYSTEM)
    await chain(gateway)
    log, copy = (sql.Identifier(gateway.acme.ref.schema, name) for name in ("tenantry_events", "copy_of_a_test"))
    random, missed = Random(1), []  # noqa: S311 - a run that can be repeated
    with psycopg.connect(gateway.urls.superuser, autocommit=True) as superuser:
        superuser.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(copy, log))
        restore = sql.SQL("DELETE FROM {log}; INSERT INTO {log} SELECT * FROM {copy}").format(log=log, copy=copy)
        for _ in range(_ROUNDS):
            edit, places = random.choice(_EDITS), sorted(random.sample(range(1, _EVENTS + 1), 2))
            superuser.execute(sql.SQL(edit).format(log=log), {"first": places[0], "second": places[1]})
            if (await verify(gateway)).good:
                missed.append((edit, places))
            superuser.execute(restore)
    assert missed == []
    assert (await verify(gateway)).good
