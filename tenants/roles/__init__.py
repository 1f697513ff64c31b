"""Roles and permissions: the vocabulary of authorization, without HTTP."""
