"""Sign-in and second factors, put together: each needs the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from tenants.audit.refusals import Refusals
from tenants.database.sessions import Database
from tenants.mail.service import Mail
from tenants.mfa.attempts import FactorAttempts
from tenants.mfa.challenges import Challenges
from tenants.mfa.enrolment import Enrolment, FactorParts
from tenants.mfa.factors import TOTP_SECRET, FactorChecks
from tenants.mfa.passkeys import RelyingParty
from tenants.mfa.policy import TenantMfa
from tenants.mfa.service import OwnFactors
from tenants.mfa.sign_ins import MfaSignIns
from tenants.roles.service import Roles
from tenants.secrets.hashing import SecretHasher
from tenants.secrets.sealing import Sealer, SealingKey
from tenants.sign_in.access_tokens import AccessTokens
from tenants.sign_in.policy import CheckPolicy
from tenants.sign_in.service import REFRESH_ANSWER, SignIn
from tenants.sign_in_limits.attempts import SignInAttempts
from tenants.users.passwords import PasswordHasher


@dataclass(frozen=True, slots=True)
class SignInSettings:
    """What a deployment sets for sign-in."""

    secret: bytes
    sealing_keys: Sequence[SealingKey]
    refresh_life: timedelta
    party: RelyingParty


@dataclass(frozen=True, slots=True)
class Mfa:
    """What there is about second factors."""

    own: OwnFactors
    sign_ins: MfaSignIns
    tenant: TenantMfa


def build_sign_in(
    database: Database,
    settings: SignInSettings,
    *,
    hasher: SecretHasher,
    passwords: PasswordHasher,
    tokens: AccessTokens,
    roles: Roles,
    mail: Mail | None,
    check_policy: CheckPolicy,
    refusals: Refusals,
) -> tuple[SignIn, Mfa]:
    """Sign-in asks the second factors, and a second factor completes a sign-in."""
    places = SignInAttempts(database, settings.secret)
    checks = FactorChecks(
        hasher=hasher,
        sealer=Sealer(settings.sealing_keys, TOTP_SECRET),
        challenges=Challenges(hasher),
        party=settings.party,
    )
    sign_in = SignIn(
        database,
        hasher=hasher,
        passwords=passwords,
        attempts=places,
        tokens=tokens,
        sealer=Sealer(settings.sealing_keys, REFRESH_ANSWER),
        second_factors=checks,
        refresh_life=settings.refresh_life,
        check_policy=check_policy,
        refusals=refusals,
    )
    enrolment = Enrolment(checks, mail)
    parts = FactorParts(FactorAttempts(places, settings.secret), checks, enrolment, refusals)
    own, sign_ins = OwnFactors(database, sign_in, parts), MfaSignIns(database, sign_in, parts)
    return sign_in, Mfa(own, sign_ins, TenantMfa(roles, enrolment))
