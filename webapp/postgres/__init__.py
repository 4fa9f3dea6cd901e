"""Django's PostgreSQL backend, with a pool that keeps no dead connection and answers that are
waited for a bounded time."""
