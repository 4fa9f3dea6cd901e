"""Where a request comes from, and how much that place has open at the moment."""

import ipaddress
from collections import Counter

IPV6_HOME = 64  # bits of an IPv6 address that one household or server is given


def forwarded_address(*, direct: str, forwarded: str, trusted_proxies: int) -> str:
    """The visitor's address: as many hops before the connection as there are trusted proxies.
    `forwarded` is X-Forwarded-For, of which a visitor may have written all but the last ones."""
    if not trusted_proxies:
        return direct
    chain = [hop.strip() for hop in forwarded.split(",") if hop.strip()] + [direct]
    return chain[max(0, len(chain) - 1 - trusted_proxies)]


def address_block(address: str) -> str:
    """What counts as one place: an IPv4 address, or the /64 that an IPv6 address lies in; the text
    itself, cut, where it is no address."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, IPV6_HOME), strict=False))


class InUse:
    """How many of something each address block has at the moment; `most` 0 is no limit."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: Counter[str] = Counter()

    def take(self, address: str) -> bool:
        """True where there was one left, which is taken until `give_back`."""
        block = address_block(address)
        if self.most and self.counts[block] >= self.most:
            return False
        self.counts[block] += 1
        return True

    def give_back(self, address: str) -> None:
        """One is free again; a block that has none is forgotten."""
        block = address_block(address)
        self.counts[block] -= 1
        if self.counts[block] <= 0:
            del self.counts[block]
