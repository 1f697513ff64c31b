"""The metadata of both streams. Importing this module imports every control model."""

from sqlalchemy import MetaData

import billing.plans.models
import billing.stripe_events.models
import billing.subscriptions.models
import billing.usage.models
import migrations.models
import tenants.api_keys.models
import tenants.audit.models
import tenants.database.models
import tenants.decisions.models
import tenants.directory.models
import tenants.events.models
import tenants.invitations.models
import tenants.leaked_keys.models
import tenants.links.models
import tenants.members.models
import tenants.mfa.models
import tenants.notices.models
import tenants.operator_keys.models
import tenants.roles.models
import tenants.routes.models
import tenants.scim.models
import tenants.sign_in.models
import tenants.sign_in_limits.models
import tenants.sign_up.models
import tenants.sso.models
import tenants.users.models
import tenants.workloads.models
from tenants.database.base import ControlModel, TenantModel

CONTROL_MODELS = (
    billing.plans.models,
    billing.stripe_events.models,
    billing.subscriptions.models,
    billing.usage.models,
    migrations.models,
    tenants.api_keys.models,
    tenants.audit.models,
    tenants.database.models,
    tenants.decisions.models,
    tenants.directory.models,
    tenants.events.models,
    tenants.invitations.models,
    tenants.leaked_keys.models,
    tenants.links.models,
    tenants.members.models,
    tenants.mfa.models,
    tenants.notices.models,
    tenants.operator_keys.models,
    tenants.roles.models,
    tenants.routes.models,
    tenants.scim.models,
    tenants.sign_in.models,
    tenants.sign_in_limits.models,
    tenants.sign_up.models,
    tenants.sso.models,
    tenants.users.models,
    tenants.workloads.models,
)

CONTROL_METADATA: MetaData = ControlModel.metadata
TENANT_METADATA: MetaData = TenantModel.metadata  # contains a SaaS's own tables once its module is imported
