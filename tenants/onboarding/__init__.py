"""How a tenant begins: its row, its rooms, its owner and its first key, in one transaction."""
