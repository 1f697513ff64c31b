"""SQL of the control table ``leaked_keys``."""

from sqlalchemy.dialects.postgresql import insert

from tenants.api_keys.models import ApiKey
from tenants.database.sessions import ControlSession
from tenants.leaked_keys.models import LeakedKey
from tenants.leaked_keys.place import Place


async def add_once(session: ControlSession, key: ApiKey, place: Place, response: str) -> bool:
    """Record that a key was reported; False when it was before."""
    added = insert(LeakedKey).values(
        api_key_id=key.id, tenant_id=key.tenant_id, source=place.source, url=place.url, response=response
    )
    return await session.scalar(added.on_conflict_do_nothing().returning(LeakedKey.api_key_id)) is not None
