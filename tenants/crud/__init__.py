"""The shared CRUD service: filters, sorts, keyset pages, and the five verbs for every declared resource."""
