"""How people come to a tenant and sign in to it, put together: a part of the features."""

from dataclasses import dataclass

from gateway.settings import Settings
from tenants.api_keys.descendants.service import Descendants
from tenants.audit.refusals import Refusals
from tenants.database.sessions import Database
from tenants.invitations.acceptance import Acceptance
from tenants.invitations.service import Invitations
from tenants.jobs.queue import JobQueue
from tenants.links.service import Links
from tenants.mail.service import Mail
from tenants.members.keys import MemberKeys
from tenants.members.service import CheckSeats, Members
from tenants.mfa.feature import Mfa, build_sign_in
from tenants.oidc.discovery import Discovery
from tenants.outbound.client import OutboundClient
from tenants.password_changes.service import FORGOTTEN, AccountMail, PasswordChanges
from tenants.roles.service import Roles
from tenants.scim.groups import ScimGroups
from tenants.scim.service import ScimUsers
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.sealing import Sealer
from tenants.sign_in import repository as sign_ins
from tenants.sign_in.access_tokens import AccessTokens
from tenants.sign_in.service import SignIn
from tenants.sign_in.sessions import Sessions
from tenants.sign_in_limits.mail_pace import MailPace
from tenants.sign_up.service import SignUp
from tenants.sso.admission import Admission
from tenants.sso.feature import SingleSignOn, build_single_sign_on
from tenants.sso.policy import check_enforcement
from tenants.users.passwords import PasswordHasher
from tenants.users.service import Users


@dataclass(frozen=True, slots=True)
class Shared:
    """What these features share with others."""

    database: Database
    hasher: SecretHasher
    passwords: PasswordHasher
    tokens: AccessTokens
    roles: Roles
    refusals: Refusals
    outbound: OutboundClient
    discovery: Discovery
    queue: JobQueue
    mail: Mail | None


@dataclass(frozen=True, slots=True)
class People:
    """Each feature is one of a process."""

    users: Users
    members: Members
    links: Links
    sign_in: SignIn
    sessions: Sessions
    mfa: Mfa
    sso: SingleSignOn
    invitations: Invitations
    acceptance: Acceptance
    password_changes: PasswordChanges
    sign_up: SignUp | None  # None when sign-up is closed
    scim_users: ScimUsers
    scim_groups: ScimGroups


def build_people(settings: Settings, shared: Shared, check_seats: CheckSeats) -> People:
    """Build, connect to nothing. ``check_seats`` is the limit of a tenant's members."""
    database, roles, hasher, mail = shared.database, shared.roles, shared.hasher, shared.mail
    users = Users(shared.passwords, sign_ins.end_all_sign_ins)
    members = Members(roles, MemberKeys(roles, Descendants()), sign_ins.end_sign_ins_of, check_seats)
    links = Links(hasher, settings.link_pages)
    sign_in, mfa = build_sign_in(
        database,
        settings.sign_in,
        hasher=hasher,
        passwords=shared.passwords,
        tokens=shared.tokens,
        roles=roles,
        mail=mail,
        check_policy=check_enforcement,
        refusals=shared.refusals,
    )
    sso = build_single_sign_on(
        database,
        settings.sso,
        outbound=shared.outbound,
        discovery=shared.discovery,
        hasher=hasher,
        roles=roles,
        admission=Admission(users, members, roles),
        sign_in=sign_in,
        refusals=shared.refusals,
    )
    invitations = Invitations(roles, links, members, mail, settings.mail.product if settings.mail else "")
    outgoing, plan = _account_mail(settings, shared.queue, mail), settings.sign_up_plan
    sign_up = None
    if outgoing is not None and plan is not None:
        sign_up = SignUp(database, users, shared.passwords, members, sign_in, links, outgoing, plan)
    return People(
        users=users,
        members=members,
        links=links,
        sign_in=sign_in,
        sessions=Sessions(sign_in),
        mfa=mfa,
        sso=sso,
        invitations=invitations,
        acceptance=Acceptance(database, invitations, links, roles, users, members),
        password_changes=PasswordChanges(database, users, sign_in, links, outgoing),
        sign_up=sign_up,
        scim_users=ScimUsers(users, members, roles),
        scim_groups=ScimGroups(members, roles),
    )


def _account_mail(settings: Settings, queue: JobQueue, mail: Mail | None) -> AccountMail | None:
    if mail is None or settings.mail is None:
        return None
    sealer = Sealer(settings.sealing_keys, FORGOTTEN)
    return AccountMail(mail, queue, sealer, MailPace(settings.secret), settings.mail.product)
