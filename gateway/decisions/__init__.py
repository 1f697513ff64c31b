"""Decisions of the gate, explained by the code that takes them."""
