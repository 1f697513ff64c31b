"""Errors of single sign-on."""

from tenants.credentials import CredentialInvalid
from tenants.errors import Conflict, NotFound, Unavailable, not_unique


class NoSingleSignOn(NotFound):
    message = "The tenant has no single sign-on. Sign in with a password, or check the tenant's name."


class SsoRefused(CredentialInvalid):
    """One error for every reason why a sign-in at a provider is not accepted; the log has the reason."""

    message = "Single sign-on failed. Start again; if it still fails, ask an administrator of the tenant."


class ProviderUnavailable(Unavailable):
    message = "The tenant's identity provider is unavailable. Retry later."


class DomainTaken(Conflict):
    message = "The domain is in the list already."
    errors = not_unique("domain")


class DomainProvenElsewhere(Conflict):
    message = "Another tenant has proven this domain. Ask it to remove the domain first."


class DomainNotProven(Conflict):
    message = "The TXT record was not found, or has another value. A change of DNS can take hours to be seen."


class TooManyDomains(Conflict):
    message = "The tenant has the maximum number of domains. Delete one that is not used."


class NothingToEnforce(Conflict):
    message = "Single sign-on can be enforced once the tenant has proven a domain. Without one, sign-in is impossible."


class DnsUnavailable(Unavailable):
    message = "The domain cannot be looked up now. Retry later."
