"""The addresses that machines ask how the studio is. They are answered whatever session is sent
along, and without a redirect to HTTPS: a balancer and Prometheus reach a process directly."""

HEALTH, READINESS = "/healthz/", "/readyz/"
PROBES = frozenset({HEALTH, READINESS})
