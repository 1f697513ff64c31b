"""Kinds of values that bodies, queries, settings and commands share: each kind is read in one way everywhere."""
