"""The OpenAPI documents, generated from the routes and their terms."""
