"""Decisions of the gate as counts of seven days, and what staged changes of roles would make of them."""
