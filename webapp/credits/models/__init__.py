"""The tables of credits: the ledger, and what stands on it."""

from webapp.credits.models.codes import Code, CodeBatch, CodeUse
from webapp.credits.models.ledger import Account, Entry, Hold, TopUpBatch, Transaction
from webapp.credits.models.requests import CreditRequest
from webapp.credits.models.welcomes import MailboxGrant, NetworkWelcomes

__all__ = [
    "Account",
    "Code",
    "CodeBatch",
    "CodeUse",
    "CreditRequest",
    "Entry",
    "Hold",
    "MailboxGrant",
    "NetworkWelcomes",
    "TopUpBatch",
    "Transaction",
]
