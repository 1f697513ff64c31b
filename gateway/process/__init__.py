"""The processes that serve: how they come, how they go, and how they take each other's place."""
