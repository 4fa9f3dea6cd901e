"""Whose mailbox an address leads to: one mailbox, one account.

`A.N+sale@GoogleMail.com` and `an@gmail.com` are read by the same person. What stands behind a plus
is a tag by a convention that most providers share; dots are ignored by Gmail alone, which also
answers to two domain names.
"""

DOTLESS_DOMAINS = {"gmail.com"}
SAME_DOMAIN = {"googlemail.com": "gmail.com"}


def mailbox_of(address: str) -> str:
    """The mailbox behind an e-mail address, in lower case and ASCII; "" for an empty address."""
    local, _at, domain = address.strip().lower().rpartition("@")
    domain = _ascii(domain.rstrip("."))
    domain = SAME_DOMAIN.get(domain, domain)
    local = local.partition("+")[0] or local
    if domain in DOTLESS_DOMAINS:
        local = local.replace(".", "") or local
    return f"{local}@{domain}" if local else domain


def _ascii(domain: str) -> str:
    """The domain as name servers know it; one that no name server can know stays as it is."""
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain
