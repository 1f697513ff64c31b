"""The features of the product, put together once: for the gateway, the job worker and the command line alike.

Rule for all of them: a service is a class that gets its collaborators when it is built. Its methods take the caller's
session first, run in the caller's transaction and never commit. What must span several transactions (a sign-in waits
for a password hash and holds no connection meanwhile) holds the database instead, and its docstring says so.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog
from procrastinate import App
from pydantic import ValidationError

import migrations.metadata  # noqa: F401 - every control model: a flush follows foreign keys to tables of any layer
from billing.payments.stripe_payments import StripePayments
from billing.plans.service import Plans
from billing.settings import StripeSettings
from billing.stripe_events.applier import EventApplier
from billing.stripe_events.inbox import StripeInbox
from billing.stripe_events.jobs import add_stripe_jobs
from billing.stripe_events.reconciler import Reconciler
from billing.subscriptions.service import Subscriptions
from billing.usage.service import Usage
from gateway.authorization.authorizer import Authorizer
from gateway.people import People, Shared, build_people
from gateway.routing.saas import permissions_of
from gateway.settings import Settings
from migrations.ledger import Ledger
from migrations.servable import Release
from tenants.api_keys import repository as api_keys_repository
from tenants.api_keys.changes import KeyChanges
from tenants.api_keys.issuer import PermissionsOfRoles
from tenants.api_keys.service import ApiKeys
from tenants.audit.checkpoint_writer import CheckpointWriter
from tenants.audit.jobs import add_audit_jobs
from tenants.audit.log import AuditLog
from tenants.audit.operators import OperatorLog
from tenants.audit.refusals import Refusals
from tenants.database.confirmations import Confirmations
from tenants.database.engine import open_engine
from tenants.database.sessions import Database
from tenants.decisions.jobs import add_decision_jobs
from tenants.decisions.recorder import DecisionRecorder
from tenants.decisions.service import RoleDryRun
from tenants.directory.service import Directory
from tenants.events.jobs import add_event_jobs
from tenants.invitations.jobs import add_invitation_jobs
from tenants.jobs.queue import JobQueue
from tenants.leaked_keys.service import LeakedKeys
from tenants.links.jobs import add_link_jobs
from tenants.mail.jobs import add_mail_jobs
from tenants.mail.service import QUEUED_MAIL, Mail
from tenants.mail.smtp import SmtpSender
from tenants.members import repository as members_repository
from tenants.members.jobs import add_member_jobs
from tenants.mfa.jobs import add_mfa_jobs
from tenants.notices.jobs import add_notice_jobs
from tenants.notices.service import Notices
from tenants.oidc.discovery import Discovery
from tenants.onboarding.service import Onboarding
from tenants.operator_keys.service import OperatorKeys
from tenants.outbound.addresses import AddressFilter
from tenants.outbound.client import OutboundClient
from tenants.password_changes.jobs import add_password_jobs
from tenants.resources.registry import Registry, load_registry
from tenants.roles.service import IsAssigned, Roles
from tenants.roles.vocabulary import CurrentPermissions
from tenants.routes import repository as routes_repository
from tenants.routes.permissions import introduced
from tenants.routes.purges import CachePurges
from tenants.routes.service import Routes
from tenants.scim import repository as scim_repository
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.sealing import Sealer
from tenants.settings import DatabaseSettings
from tenants.sign_in.access_tokens import AccessTokens
from tenants.sign_in.jobs import add_sign_in_jobs
from tenants.sign_in.signing_keys import SigningKeys
from tenants.sign_up.jobs import add_sign_up_jobs
from tenants.sso import repository as sso_repository
from tenants.sso.jobs import add_sso_jobs
from tenants.users.passwords import PasswordHasher
from tenants.workloads import repository as workloads_repository
from tenants.workloads.feature import Workloads, build_workloads
from tenants.workloads.jobs import add_workload_jobs
from tenants.workloads.programs import Programs

_Result = TypeVar("_Result")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StripeBilling:
    """What there is beside plans when a Stripe key is set."""

    payments: StripePayments
    inbox: StripeInbox
    applier: EventApplier
    reconciler: Reconciler


@dataclass(frozen=True, slots=True)
class Features:
    """One of each. Frozen: nothing is replaced while a process runs. ``close`` is due at its end."""

    database: Database
    confirmations: Confirmations
    registry: Registry
    permissions: CurrentPermissions
    authorizer: Authorizer
    hasher: SecretHasher
    passwords: PasswordHasher
    tokens: AccessTokens
    outbound: OutboundClient
    directory: Directory
    roles: Roles
    routes: Routes
    cache_purges: CachePurges
    people: People
    api_keys: ApiKeys
    key_changes: KeyChanges
    operator_keys: OperatorKeys
    leaked_keys: LeakedKeys
    notices: Notices
    workloads: Workloads
    onboarding: Onboarding
    audit_log: AuditLog
    operator_log: OperatorLog
    refusals: Refusals
    checkpoints: CheckpointWriter
    decisions: DecisionRecorder
    role_dry_run: RoleDryRun
    plans: Plans
    subscriptions: Subscriptions
    usage: Usage
    release: Release
    ledger: Ledger
    stripe: StripeBilling | None  # None when billing is off
    mail: Mail | None  # None when mail is off

    async def close(self) -> None:
        """End the connections and the threads."""
        if self.stripe is not None:
            await self.stripe.payments.close()
        self.passwords.close()
        await self.outbound.close()
        await self.confirmations.close()
        await self.database.close()


def build_features(settings: Settings, database_settings: DatabaseSettings | None = None) -> Features:
    """Build, connect to nothing. Raises DeclarationError and ValueError for what cannot be served as it is set.

    ``database_settings`` are those of the settings unless a command needs fewer connections.
    """
    database_settings = database_settings or settings.database
    database = Database(open_engine(database_settings), database_settings)
    registry = load_registry(settings.resources)
    release = Release.of(registry)
    permissions = CurrentPermissions(permissions_of(registry))
    authorizer = Authorizer(permissions.fixed)
    permissions.subscribe(authorizer.replace)
    hasher, passwords, tokens = SecretHasher(settings.peppers), PasswordHasher(), _tokens(settings)
    mappings = (scim_repository.has_role, sso_repository.maps_role, workloads_repository.has_role)
    assignments = (members_repository.has_role, api_keys_repository.has_role, *mappings)
    roles, refusals = Roles(permissions, assignments), Refusals(database)
    queue, subscriptions, plans = JobQueue(), Subscriptions(), Plans()
    addresses = AddressFilter(settings.outbound_networks)
    mail, outbound = _mail(settings, queue), OutboundClient(addresses)
    discovery = Discovery(outbound, allow_loopback_http=settings.sso.allow_loopback_http)
    shared = Shared(database, hasher, passwords, tokens, roles, refusals, outbound, discovery, queue, mail)
    people = build_people(settings, shared, plans.check_members)
    operator_keys = OperatorKeys(hasher)
    product = settings.mail.product if settings.mail else ""
    routes, directory = Routes(permissions.fixed, addresses.admits), Directory(routes_repository.has_targets)
    api_keys = ApiKeys(hasher, authorizer.permissions_of_roles, members_repository.roles_now)
    return Features(
        database=database,
        confirmations=Confirmations(database),
        registry=registry,
        permissions=permissions,
        authorizer=authorizer,
        hasher=hasher,
        passwords=passwords,
        tokens=tokens,
        outbound=outbound,
        directory=directory,
        roles=roles,
        routes=routes,
        cache_purges=CachePurges(routes, directory),
        people=people,
        api_keys=api_keys,
        operator_keys=operator_keys,
        leaked_keys=LeakedKeys(database, api_keys, operator_keys, mail, product),
        notices=Notices(database, mail, product),
        key_changes=KeyChanges(authorizer.permissions_of_roles, members_repository.roles_now),
        workloads=_workloads(settings, shared, authorizer),
        onboarding=Onboarding(api_keys, people.invitations),
        audit_log=AuditLog(database),
        operator_log=OperatorLog(database),
        refusals=refusals,
        checkpoints=CheckpointWriter(database, tokens.keys, settings.audit_checkpoints),
        decisions=DecisionRecorder(database),
        role_dry_run=_role_dry_run(shared, permissions, mappings),
        plans=plans,
        subscriptions=subscriptions,
        usage=Usage(),
        release=release,
        ledger=Ledger(release),
        stripe=_stripe(settings.stripe, database, queue, subscriptions) if settings.stripe else None,
        mail=mail,
    )


def add_jobs(app: App, features: Features) -> None:
    """Add the jobs of every feature that has some. The list of a deployment's jobs is here and nowhere else."""
    add_event_jobs(app, features.database)
    add_audit_jobs(app, features.checkpoints)
    add_decision_jobs(app, features.database)
    add_member_jobs(app, features.database, features.people.members.keys)
    add_sign_in_jobs(app, features.database)
    add_mfa_jobs(app, features.database)
    add_link_jobs(app, features.database)
    add_invitation_jobs(app, features.database)
    add_sso_jobs(app, features.database, features.people.sso.domains)
    add_notice_jobs(app, features.notices)
    add_workload_jobs(app, features.database)
    if features.stripe is not None:
        add_stripe_jobs(app, features.stripe.applier, features.stripe.reconciler)
    if features.mail is not None:
        add_mail_jobs(app, features.mail)
        add_password_jobs(app, features.people.password_changes)
    if features.people.sign_up is not None:
        add_sign_up_jobs(app, features.people.sign_up, features.database)


async def learn_routes(features: Features) -> None:
    """Let the permissions be those that there are by the routes in force. Gateway workers follow every change of them.

    Raises Unavailable.
    """
    async with features.database.control() as session:
        try:
            version = await features.routes.current(session)
        except ValidationError as error:
            _log.warning("routes_unreadable", errors=error.error_count())  # of a later release
            return
    features.permissions.introduce(introduced(version.configuration, features.permissions.fixed))


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Features]:
    """The features for one command: no requests, no listener, one connection for sessions.

    Raises Unavailable when PostgreSQL does not answer.
    """
    features = build_features(settings, replace(settings.database, session_connections=1))
    try:
        await learn_routes(features)
        yield features
    finally:
        await features.close()


def administer(
    settings: Settings, work: Callable[[Features], Awaitable[_Result]], *, ends_rights: bool = False
) -> _Result:
    """Open the features, do the work, close them. Raises Unavailable when PostgreSQL does not answer.

    With ``ends_rights`` it returns when every worker applies what the work has committed (ID14).
    """

    async def run() -> _Result:
        async with opened(settings) as features:
            result = await work(features)
            if ends_rights:
                await features.confirmations.confirm()
            return result

    return asyncio.run(run())


def _workloads(settings: Settings, shared: Shared, authorizer: Authorizer) -> Workloads:
    return build_workloads(
        shared.database,
        authorizer.permissions_of_roles,
        shared.discovery,
        shared.refusals,
        own_issuer=shared.tokens.issuer,
        allow_loopback_http=settings.sso.allow_loopback_http,
    )


def _role_dry_run(shared: Shared, permissions: CurrentPermissions, mappings: Sequence[IsAssigned]) -> RoleDryRun:
    """With an authorizer of its own for each run: staged policies must not enter the gate's memory."""

    def authorizer() -> PermissionsOfRoles:
        return Authorizer(permissions.vocabulary.every).permissions_of_roles

    return RoleDryRun(shared.database, shared.roles, authorizer, mappings, Programs(permissions).read)


def _tokens(settings: Settings) -> AccessTokens:
    return AccessTokens(
        SigningKeys.load(settings.signing_keys.get_secret_value()),
        issuer=settings.public_url,
        audience=settings.audience,
        lifetime=settings.access_token_seconds,
    )


def _stripe(
    settings: StripeSettings, database: Database, queue: JobQueue, subscriptions: Subscriptions
) -> StripeBilling:
    payments = StripePayments(settings)
    applier = EventApplier(database, payments, subscriptions, settings)
    return StripeBilling(
        payments=payments,
        inbox=StripeInbox(queue, settings),
        applier=applier,
        reconciler=Reconciler(database, payments, applier),
    )


def _mail(settings: Settings, queue: JobQueue) -> Mail | None:
    if settings.mail is None:
        return None
    return Mail(queue, Sealer(settings.sealing_keys, QUEUED_MAIL), SmtpSender(settings.mail))
