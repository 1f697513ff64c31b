"""What `tenantry dev` prints once it is ready: things to paste, in the order in which they make a story."""

import json
import sys
from pathlib import Path
from shlex import quote
from typing import Any

_LOOP = (
    "for i in $(seq 1 30); do curl -s -o /dev/null -w '%{{http_code}} ' {base}/v1/me -H {key}; done; echo"  # 429 by 11
)


def guide(demo_file: Path, environment: Path) -> str:
    """Ready to paste. The keys in it are the demo's own."""
    demo = json.loads(demo_file.read_text())
    base, acme = demo["base_url"], demo["tenants"][0]
    member, viewer = (_header(acme["keys"][role]) for role in ("member", "viewer"))
    contact = quote('{"name": "Emmy Noether", "stage": "lead"}')
    stripe = demo["stripe"]
    buy = f"{stripe['api_base']}/v1/subscriptions -u {stripe['api_key']}: -d customer={acme['stripe_customer']}"
    steps = (
        (f"The API's documentation: {base}/docs", ""),
        *([(f"The mail that it sends: {demo['mail_url']}", "")] if demo["mail_url"] else []),
        ("Acme's contacts, by one of its keys: 200", f"curl -i {base}/v1/contacts -H {member}"),
        (
            "A viewer may read and not write: 403",
            f"curl -i {base}/v1/contacts -H {viewer} -H 'Content-Type: application/json' -d {contact}",
        ),
        (f"Plan {acme['plan']}: run it until it answers 429", _LOOP.format(base=base, key=member)),
        (
            "Buy plan pro at the Stripe stand-in, then run the loop again: 100 requests a second",
            f"curl -s {buy} -d 'items[0][price]={stripe['prices']['pro']}'",
        ),
        ("The same deployment from another shell", f"{_command()} --env-file {quote(str(environment))} keys list acme"),
    )
    text = "\n".join(f"\n{title}\n{f'    {command}' if command else ''}".rstrip() for title, command in steps)
    return f"{text}\n\nKeys, people and passwords: {demo_file}. Ctrl-C stops everything.\n"


def _command() -> str:
    """With its path: `make run` puts it into .venv, which no shell searches."""
    return quote(str(Path(sys.executable).with_name("tenantry")))


def _header(key: Any) -> str:
    return quote(f"X-API-Key: {key}")
