"""PostgreSQL and Valkey from wheels, and the supervisor behind `make up`.

Only the standard library is imported anywhere in this package, so that settings may import
`webapp.embedded.paths` and the supervisor can start before Django is configured.
"""
