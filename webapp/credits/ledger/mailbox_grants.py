"""What is given once, is given once to a mailbox: not again to the account that its owner opens
after they deleted the first one.

An account gets nothing twice by the keys of its postings; this is about the next account. What was
given before a mailbox changed hands stays with the mailbox that it was given to, so that whoever
has that address later misses that alone.
"""

from collections.abc import Collection, Iterable, Mapping

from django.db import connection
from django.utils.crypto import salted_hmac

from webapp.accounts.mailboxes import former_mailbox_of, mailbox_of
from webapp.accounts.models import User
from webapp.credits.models import MailboxGrant

# One statement for many: the objects of 10,000 rows took longer than all else.
WRITE_SQL = """
INSERT INTO credits_mailboxgrant (mailbox, what, transaction_id)
SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[])
"""

Digests = Mapping[int, list[str]]
Wanted = tuple[int, str]


def digest_mailbox(mailbox: str) -> str:
    """The mailbox's HMAC, which the table holds in place of the address."""
    return salted_hmac("credits.welcome", mailbox, algorithm="sha256").hexdigest()


def digests_of(user: User) -> list[str]:
    """The digest of the user's mailbox, and, if its address was worked out by other rules once, of
    what it was then."""
    return _digests(user.email, user.mailbox)


def read_mailboxes(user_ids: Iterable[int]) -> dict[int, list[str]]:
    """`user id -> digests`, the present one first. Not locked: a change of address locks the user
    before the account, we hold the account. Should the mailbox go to somebody else in this very
    moment, the table's own rule lets one of the two have what is given."""
    users = User.objects.filter(pk__in=list(user_ids)).values_list("pk", "email", "mailbox")
    return {pk: _digests(email, mailbox) for pk, email, mailbox in users}


def find_given(*, digests: Digests, wanted: Collection[Wanted]) -> set[Wanted]:
    """What of the wanted, `(user id, what)`, was given to the user's mailbox before."""
    known = [digest for some in digests.values() for digest in some]
    rows = MailboxGrant.objects.filter(mailbox__in=known, what__in={what for _id, what in wanted})
    given = set(rows.values_list("mailbox", "what"))
    return {
        (user_id, what)
        for user_id, what in wanted
        if any((digest, what) in given for digest in digests[user_id])
    }


def write_down(grants: Iterable[tuple[str, str, int]]) -> None:
    """Keeps what was given now: `(digest, what, transaction id)`."""
    rows = list(grants)
    columns = [[row[at] for row in rows] for at in range(3)]
    with connection.cursor() as cursor:
        cursor.execute(WRITE_SQL, columns)


def _digests(email: str, mailbox: str | None) -> list[str]:
    mailboxes = [mailbox or email.lower()]
    if mailbox == mailbox_of(email):
        mailboxes.append(former_mailbox_of(email))
    return [digest_mailbox(one) for one in dict.fromkeys(mailboxes)]
