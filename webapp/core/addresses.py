"""Where a request comes from, and how much that place has open at the moment."""

import ipaddress
from collections import Counter

# Bits of an address that stand for one household, phone or server, and for its neighbourhood: a
# household has a /64, an organisation usually a /48 or more.
IPV4_HOME, IPV6_HOME = 32, 64
IPV4_NETWORK, IPV6_NETWORK = 24, 48
MOST_LETTERS = 64


def forwarded_address(*, direct: str, forwarded: str, trusted_proxies: int) -> str:
    """The visitor's address: as many hops before the connection as there are trusted proxies.
    `forwarded` is X-Forwarded-For, of which a visitor may have written all but the last ones."""
    if not trusted_proxies:
        return direct
    chain = [hop.strip() for hop in forwarded.split(",") if hop.strip()] + [direct]
    return chain[max(0, len(chain) - 1 - trusted_proxies)]


def address_block(address: str) -> str:
    """What counts as one place, or one visitor: an IPv4 address, or the /64 of an IPv6 address,
    which changes its last half as it likes. What is no address stands for itself."""
    return _block(address, ipv4=IPV4_HOME, ipv6=IPV6_HOME)


def network_of(address: str) -> str:
    """The neighbours that one provider gives out together: the /24 of an IPv4 address, the /48 of
    an IPv6 address. What is no address stands for itself."""
    return _block(address, ipv4=IPV4_NETWORK, ipv6=IPV6_NETWORK)


def _block(address: str, *, ipv4: int, ipv6: int) -> str:
    """The network of so many bits around an address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:MOST_LETTERS]
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    length = ipv4 if found.version == 4 else ipv6
    whole = found.max_prefixlen == length
    return str(found) if whole else str(ipaddress.ip_network((found, length), strict=False))


class InUse:
    """How many of something each address block has at the moment; `most` 0 is no limit."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts: Counter[str] = Counter()

    def take(self, address: str) -> bool:
        """True if there was one left, which is taken until `give_back`."""
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
