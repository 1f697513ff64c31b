"""A FastAPI service behind Tenantry: it serves only requests that carry a valid ``Tenantry-Identity``.

TENANTRY_JWKS_URL=https://api.example.com/.well-known/jwks.json \
    TENANTRY_ISSUER=https://api.example.com UPSTREAM_NAME=orders \
    uvicorn examples.upstreams.fastapi_service:app --port 9001
"""

import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException

from examples.upstreams.identity import Identities, NotVerified

app = FastAPI()
identities = Identities(
    os.environ["TENANTRY_JWKS_URL"], os.environ["TENANTRY_ISSUER"], os.environ.get("UPSTREAM_NAME", "orders")
)


async def caller(tenantry_identity: Annotated[str | None, Header()] = None) -> dict[str, Any]:
    """Who asks: the claims that the gateway has signed."""
    try:
        return await identities.verified(tenantry_identity)
    except NotVerified as error:
        raise HTTPException(403, "This service is reached through the gateway only.") from error


Caller = Annotated[dict[str, Any], Depends(caller)]


@app.get("/whoami")
async def whoami(claims: Caller) -> dict[str, Any]:
    """What this service knows of its caller. The tenant is in the token: no field of the request is trusted for it."""
    return {name: claims.get(name) for name in ("tenant_slug", "sub", "kind", "roles", "plan")}
