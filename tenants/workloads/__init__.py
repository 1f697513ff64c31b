"""Workloads: programs that hold no key, and are trusted by the token that an outside issuer signs for them."""
