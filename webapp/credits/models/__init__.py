"""The tables of credits: the ledger, and what stands on it."""

from webapp.credits.models.codes import Code as Code
from webapp.credits.models.codes import CodeBatch as CodeBatch
from webapp.credits.models.codes import CodeUse as CodeUse
from webapp.credits.models.ledger import Account as Account
from webapp.credits.models.ledger import Entry as Entry
from webapp.credits.models.ledger import Hold as Hold
from webapp.credits.models.ledger import TopUpBatch as TopUpBatch
from webapp.credits.models.ledger import Transaction as Transaction
from webapp.credits.models.requests import CreditRequest as CreditRequest
from webapp.credits.models.welcomes import MailboxGrant as MailboxGrant
from webapp.credits.models.welcomes import NetworkWelcomes as NetworkWelcomes
