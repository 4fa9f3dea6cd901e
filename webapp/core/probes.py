"""The addresses that machines ask how the studio is. They are answered whatever host is
named and whatever session is sent along, and without a redirect to HTTPS: a load balancer and
Prometheus reach a process directly."""

HEALTH, READINESS, METRICS = "/healthz/", "/readyz/", "/metrics"
PROBES = frozenset({HEALTH, READINESS, METRICS})
