"""The ground floor: who the tenants are, who may act for them, and where their data lives. HTTP-free."""
