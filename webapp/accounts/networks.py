"""Where a request comes from: one visitor's address, and the network around it."""

import ipaddress

from django.conf import settings
from django.http import HttpRequest

from webapp.core.addresses import forwarded_address

IPV4_NETWORK = 24
# A household or a phone has a /64, an organisation usually a /48 or more.
IPV6_VISITOR, IPV6_NETWORK = 64, 48
MAX_LENGTH = 64


def client_address(request: HttpRequest) -> str:
    """The visitor's address; X-Forwarded-For counts only behind `DARKROOM_TRUSTED_PROXIES`."""
    direct: str = request.META.get("REMOTE_ADDR", "") or "local"
    return forwarded_address(
        direct=direct,
        forwarded=request.headers.get("X-Forwarded-For", ""),
        trusted_proxies=settings.TRUSTED_PROXIES,
    )


def visitor_of(address: str) -> str:
    """What stands for one visitor: the IPv4 address, or the /64 of an IPv6 address, which changes
    its last half as it likes. What is no address stands for itself."""
    return _network(address, ipv4=32, ipv6=IPV6_VISITOR)


def network_of(address: str) -> str:
    """The neighbours that one provider gives out together: the /24 of an IPv4 address, the /48 of
    an IPv6 address. What is no address stands for itself."""
    return _network(address, ipv4=IPV4_NETWORK, ipv6=IPV6_NETWORK)


def _network(address: str, *, ipv4: int, ipv6: int) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:MAX_LENGTH]
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    length = ipv4 if found.version == 4 else ipv6
    return str(ipaddress.ip_network((found, length), strict=False))
