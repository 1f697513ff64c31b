"""Credential to principal: one hash and one dictionary look-up when warm."""
