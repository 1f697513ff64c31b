"""Secrets that several features use: opaque tokens, their hashes, and sealed values."""
