"""Second factors: authenticator apps (TOTP), passkeys, recovery codes; the sign-ins that wait for one."""
