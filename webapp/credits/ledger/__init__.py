"""The only writer of Account, Transaction, Entry, Hold, TopUpBatch and MailboxGrant.

    holds.py      hold_for_images, capture, release          what images cost
    grants.py     open_account, grant_welcome, post_grant, post_grants, close_account
    mailbox_grants.py                                        once to a mailbox, whatever account
    by_hand.py    top_up, adjust                             one person, by an administrator
    bulk.py       top_up_many                                many at once, all or nothing
    undo.py       reverse, reverse_batch, refund_image       corrections are new entries
    repair.py     post_difference, recount_held              for `check_credits --repair` alone
    posting.py    post: the one statement that writes lines

Every function is one atomic change of its own, or a savepoint inside the caller's. Locks are
taken in one order everywhere: image (the caller's), hold, account (by id), entry. Spending is a
conditional UPDATE whose row count is tested, so that two spenders of the last credit cannot both
win. The line in the audit log (`core.audit.record`) is written by whoever calls for an
administrator, in the same transaction.
"""

from webapp.credits.ledger.bulk import top_up_many
from webapp.credits.ledger.by_hand import (
    MAX_BY_HAND_UCR,
    MAX_NOTE_LENGTH,
    MAX_REASON_LENGTH,
    adjust,
    top_up,
)
from webapp.credits.ledger.grants import (
    close_account,
    grant_welcome,
    has_welcome_left,
    hold_welcome_back,
    open_account,
    post_grant,
    post_grants,
)
from webapp.credits.ledger.holds import capture, hold_for_images, release
from webapp.credits.ledger.posting import lock_account
from webapp.credits.ledger.repair import post_difference, recount_held
from webapp.credits.ledger.undo import BatchUndo, refund_image, reverse, reverse_batch

__all__ = [
    "MAX_BY_HAND_UCR",
    "MAX_NOTE_LENGTH",
    "MAX_REASON_LENGTH",
    "BatchUndo",
    "adjust",
    "capture",
    "close_account",
    "grant_welcome",
    "has_welcome_left",
    "hold_for_images",
    "hold_welcome_back",
    "lock_account",
    "open_account",
    "post_difference",
    "post_grant",
    "post_grants",
    "recount_held",
    "refund_image",
    "release",
    "reverse",
    "reverse_batch",
    "top_up",
    "top_up_many",
]
