"""How a worker counts what its callers use: journalled before the answer ends, added up in PostgreSQL later."""
