"""Whose mailbox an address leads to: one mailbox, one account.

`A.N+sale@GoogleMail.com` and `an@gmail.com` are read by the same person. What stands behind a plus
is a tag by a convention that most providers share. What else a provider lets its people write is
its own: dots, tags behind a dash, other domains for the same mailbox, or a domain for each person
under which every address is theirs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

from disposable_email_domains import blocklist
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from webapp.core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Provider:
    """What people of a provider may write for the mailbox `name@<the first of its domains>`.

    `ignored` are letters without a meaning, `same` (letter -> letter) those that stand for another
    one, `tag_marks` begin a tag.
    """

    domains: tuple[str, ...]
    ignored: str = ""
    same: tuple[tuple[str, str], ...] = ()
    tag_marks: str = "+"


# Gmail ignores dots, Proton dots, dashes and underscores; to Yandex a dot is a dash. Each of them,
# and iCloud, keeps a name for the same person under all of its domains.
PROVIDERS = (
    Provider(("gmail.com", "googlemail.com"), ignored="."),
    Provider(("proton.me", "protonmail.com", "pm.me", "protonmail.ch"), ignored=".-_"),
    Provider(("icloud.com", "me.com", "mac.com")),
    Provider(
        (
            *("yandex.ru", "ya.ru", "yandex.com", "yandex.by", "yandex.kz", "yandex.ua"),
            *("yandex.com.tr", "yandex.uz", "yandex.az", "yandex.ee", "yandex.lt", "yandex.lv"),
            "narod.ru",
        ),
        same=((".", "-"),),
    ),
)
# Yahoo's names have no dash: behind one stands the word of a throw-away address. Its domains are
# as many as countries, and each has people of its own.
YAHOO_DOMAINS = frozenset({"ymail.com", "rocketmail.com", "myyahoo.com"})
YAHOO_PREFIX = "yahoo."
# `anything@ann.fastmail.com` is read by whoever is `ann@fastmail.com`.
PERSONAL_DOMAINS = frozenset(
    {
        *("fastmail.com", "fastmail.fm", "fastmail.net", "fastmail.org", "fastmail.us"),
        *("fastmail.co.uk", "fastmail.de", "fastmail.jp", "messagingengine.com", "sent.com"),
        *("33mail.com", "anonaddy.com", "anonaddy.me", "mozmail.com", "e4ward.com"),
    }
)
# As many addresses as somebody likes, each forwarded to a mailbox that nobody can tell from it.
RELAY_DOMAINS = frozenset(
    {
        *("duck.com", "privaterelay.appleid.com", "mozmail.com", "addy.io", "anonaddy.com"),
        *("anonaddy.me", "simplelogin.com", "simplelogin.co", "simplelogin.fr", "aleeas.com"),
        *("slmail.me", "slmails.com", "passmail.net", "passmail.com", "passinbox.com"),
        *("passfwd.com", "33mail.com", "e4ward.com"),
    }
)


def _by_domain(providers: Iterable[Provider]) -> Mapping[str, Provider]:
    pairs = ([(domain, provider) for domain in provider.domains] for provider in providers)
    return dict(chain.from_iterable(pairs))


PROVIDER_OF = _by_domain(PROVIDERS)


def mailbox_of(address: str) -> str:
    """The mailbox behind an e-mail address, in lower case and ASCII; "" for an empty address."""
    local, domain = _split(address)
    local, domain = _without_personal_domain(local, domain)
    provider = PROVIDER_OF.get(domain) or Provider((domain,), tag_marks=_tag_marks(domain))
    for mark in provider.tag_marks:
        local = local.partition(mark)[0] or local
    for letter, other in provider.same:
        local = local.replace(letter, other)
    local = "".join(letter for letter in local if letter not in provider.ignored) or local
    return f"{local}@{provider.domains[0]}" if local else domain


def former_mailbox_of(address: str) -> str:
    """The same as it was worked out when only Gmail's rules were known: what was given to a
    mailbox then is written down under this one."""
    local, domain = _split(address)
    is_gmail = domain in PROVIDERS[0].domains
    domain = PROVIDERS[0].domains[0] if is_gmail else domain
    local = local.partition("+")[0] or local
    if is_gmail:
        local = local.replace(".", "") or local
    return f"{local}@{domain}" if local else domain


def check_address(text: str) -> None:
    """Raises InvalidInput (`email`) for a text that is no e-mail address."""
    try:
        validate_email(text)
    except ValidationError as error:
        raise InvalidInput(_("Enter a full e-mail address."), field="email") from error


def is_throwaway(address: str) -> bool:
    """True if anybody gets as many addresses of this domain as they like, for a while or to be
    forwarded: by the list of a package, and our own of relays."""
    labels = _split(address)[1].split(".")
    domains = [".".join(labels[at:]) for at in range(len(labels) - 1)]
    return any(domain in RELAY_DOMAINS or domain in blocklist for domain in domains)


def _split(address: str) -> tuple[str, str]:
    """What stands before the last @, and the domain behind it, in lower case and ASCII."""
    local, _at, domain = address.strip().lower().rpartition("@")
    return local, _ascii(domain.rstrip("."))


def _without_personal_domain(local: str, domain: str) -> tuple[str, str]:
    name, _dot, rest = domain.partition(".")
    return (name, rest) if local and rest in PERSONAL_DOMAINS else (local, domain)


def _tag_marks(domain: str) -> str:
    return "+-" if domain in YAHOO_DOMAINS or domain.startswith(YAHOO_PREFIX) else "+"


def _ascii(domain: str) -> str:
    """The domain as name servers know it; one that no name server can know stays as it is."""
    if domain.isascii():
        return domain
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain
