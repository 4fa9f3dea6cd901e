"""What keeps welcome credits, codes and allowances from being taken again under another account."""

from django.db import models

from webapp.credits.models.ledger import Transaction


class MailboxGrant(models.Model):
    """What was given to a mailbox, and is not given to it again under another account.

    `mailbox` is an HMAC under a key that is derived from the studio's secret: it is found by
    whoever has the address, and reads as nothing when the account is gone. `what` is what is
    given once: "welcome", "invitation:7", "code:12", "monthly:2026-11". What was given before
    there was this table to an account that is gone, and whose mailbox nobody knows any more, has
    "unknown:<transaction>".
    """

    mailbox = models.CharField(max_length=64)
    what = models.CharField(max_length=120)
    transaction = models.OneToOneField(Transaction, on_delete=models.RESTRICT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "what"], name="mailbox_grant_once"),
        ]

    def __str__(self) -> str:
        return f"{self.what} {self.transaction_id}"


class NetworkWelcomes(models.Model):
    """How many were welcomed on a day from one network or address, which is an HMAC; forgotten
    after some days."""

    day = models.DateField()
    network = models.CharField(max_length=64)
    welcomes = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["day", "network"], name="network_welcomes_once_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.network[:8]} {self.welcomes}"
