"""The tenants themselves: creating, listing, suspending and resuming them."""
