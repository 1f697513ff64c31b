"""A service behind the demo's proxied routes: it answers with what it was asked."""
