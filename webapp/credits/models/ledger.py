"""The ledger. Only `credits.ledger` writes the first five tables and MailboxGrant (a test keeps it
so).

    Account ──< Hold          one per image: held -> captured | released, exactly once
       │
       └─────< Entry >─── Transaction     double entry; the entries of one sum to zero

Transaction, Entry, CodeUse and MailboxGrant are append-only: triggers refuse UPDATE, DELETE and
TRUNCATE. So is TopUpBatch, but for its actor, who may go. A hold is resolved once and never
deleted; an account keeps its owner until the link is cut, and its pseudonym for ever.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from webapp.core.texts import SEEN_BY_ADMINISTRATORS


class Account(models.Model):
    """One per user; the system's own accounts carry no stored balance, so nobody queues on them."""

    class Kind(models.TextChoices):
        USER = "user", _("user")
        GRANTS = "grants", _("grants")
        REVENUE = "revenue", _("revenue")
        EXPIRED = "expired", _("expired")
        ADJUSTMENTS = "adjustments", _("adjustments")

    class WelcomeHeld(models.TextChoices):
        """Why the welcome credits wait for an administrator."""

        NETWORK = "network", _("many accounts were created from the same network that day")
        THROWAWAY = "throwaway", _("the e-mail address belongs to a disposable address service")

    kind = models.CharField(max_length=16, choices=Kind)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="account",
    )
    pseudonym = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    posted_ucr = models.BigIntegerField(_("posted"), default=0)
    held_ucr = models.BigIntegerField(_("held"), default=0)
    low_told_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text=_("When the low-balance mail was sent; empty once there are more credits."),
    )
    welcome_held = models.CharField(
        _("welcome credits waiting"), max_length=10, choices=WelcomeHeld, blank=True, db_default=""
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        constraints = [
            models.CheckConstraint(condition=Q(held_ucr__gte=0), name="account_held_not_negative"),
            models.CheckConstraint(
                condition=Q(posted_ucr__gte=F("held_ucr")), name="account_posted_covers_held"
            ),
            models.CheckConstraint(
                condition=Q(kind="user") | Q(posted_ucr=0, held_ucr=0, user=None),
                name="account_system_has_no_balance",
            ),
            models.UniqueConstraint(
                fields=["kind"], condition=~Q(kind="user"), name="account_system_kind_unique"
            ),
        ]

    def __str__(self) -> str:
        if self.kind != self.Kind.USER:
            return str(self.get_kind_display())
        return str(self.user) if self.user else str(self.pseudonym)

    @property
    def available_ucr(self) -> int:
        """What can still be held: posted minus held."""
        return self.posted_ucr - self.held_ucr


class Transaction(models.Model):
    """One event in the ledger, with who did it and why."""

    class Kind(models.TextChoices):
        GRANT = "grant", _("welcome credits")
        CAPTURE = "capture", _("image")
        TOP_UP = "top_up", _("top-up")
        ADJUSTMENT = "adjustment", _("adjustment")
        REVERSAL = "reversal", _("undone")
        REFUND = "refund", _("refund")
        CODE = "code", _("code")
        ALLOWANCE = "allowance", _("monthly allowance")
        INVITATION = "invitation", _("invitation")
        REPAIR = "repair", _("correction")

    kind = models.CharField(max_length=16, choices=Kind)
    # No database constraint: the line stays as it was written when the actor's account goes.
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("by"),
    )
    actor_name = models.CharField(max_length=254, blank=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True, help_text=SEEN_BY_ADMINISTRATORS)
    batch = models.ForeignKey(
        "TopUpBatch", on_delete=models.RESTRICT, null=True, blank=True, related_name="transactions"
    )
    reverses = models.OneToOneField(
        "self", on_delete=models.RESTRICT, null=True, blank=True, related_name="reversed_by"
    )
    idempotency_key = models.CharField(max_length=120, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("transaction")
        verbose_name_plural = _("transactions")
        # The ledger of the admin site turns a million pages by them, newest first.
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="transaction_newest"),
            models.Index(fields=["kind", "-created_at", "-id"], name="transaction_kind_newest"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind__in=["top_up", "adjustment", "reversal", "refund"])
                | (~Q(actor_name="") & ~Q(reason="")),
                name="transaction_by_hand_needs_actor_and_reason",
            ),
            models.CheckConstraint(
                condition=Q(kind="reversal", reverses__isnull=False)
                | (~Q(kind="reversal") & Q(reverses=None)),
                name="transaction_reversal_names_what_it_undoes",
            ),
            models.CheckConstraint(
                condition=Q(batch=None) | Q(kind__in=["top_up", "adjustment"]),
                name="transaction_of_a_batch_is_by_hand",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.created_at:%Y-%m-%d %H:%M}"


class Entry(models.Model):
    """One line of a transaction on one account.

    `kind` and `at` repeat the transaction's (a trigger copies them, nobody else writes them), so
    that one index finds any line of a long statement: what a filter skips is skipped inside it.
    """

    transaction = models.ForeignKey(Transaction, on_delete=models.RESTRICT, related_name="entries")
    # Without an index of its own: `entry_statement` begins with the account.
    account = models.ForeignKey(
        Account, on_delete=models.RESTRICT, related_name="entries", db_index=False
    )
    kind = models.CharField(max_length=16, choices=Transaction.Kind, db_default="", editable=False)
    at = models.DateTimeField(db_default=Now(), editable=False)
    amount_ucr = models.BigIntegerField(_("amount"))
    balance_after_ucr = models.BigIntegerField(
        _("balance after"), null=True, help_text=_("Empty on the system's accounts.")
    )
    image_id = models.UUIDField(null=True, blank=True, db_index=True)

    class Meta:
        verbose_name = _("entry")
        verbose_name_plural = _("entries")
        constraints = [
            models.CheckConstraint(condition=~Q(amount_ucr=0), name="entry_amount_not_zero"),
            models.CheckConstraint(
                condition=Q(balance_after_ucr=None) | Q(balance_after_ucr__gte=0),
                name="entry_balance_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["capture", "refund"], image_id__isnull=False)
                | (~Q(kind__in=["capture", "refund"]) & Q(image_id=None)),
                name="entry_image_only_of_a_charge_or_refund",
            ),
        ]
        indexes = [
            models.Index(
                fields=["account", "-id", "kind", "at"],
                include=["amount_ucr"],
                name="entry_statement",
            ),
            # People's lines alone: who got or lost how much at once.
            models.Index(
                fields=["amount_ucr"],
                condition=Q(balance_after_ucr__isnull=False),
                name="entry_amount",
            ),
            models.Index(
                fields=["-id"],
                include=["amount_ucr", "transaction", "kind", "at"],
                condition=Q(balance_after_ucr__isnull=False),
                name="entry_newest",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_ucr} on {self.account_id}"


class Hold(models.Model):
    """Credits set aside for one image; `image_id` is a plain UUID: images may be deleted."""

    class State(models.TextChoices):
        HELD = "held", _("held")
        CAPTURED = "captured", _("charged")
        RELEASED = "released", _("not charged")

    image_id = models.UUIDField(unique=True)
    account = models.ForeignKey(Account, on_delete=models.RESTRICT, related_name="holds")
    amount_ucr = models.BigIntegerField(_("amount"))
    state = models.CharField(max_length=10, choices=State, default=State.HELD)
    created_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        constraints = [
            models.CheckConstraint(condition=Q(amount_ucr__gt=0), name="hold_amount_positive"),
            models.CheckConstraint(
                condition=Q(state="held", resolved_at=None)
                | (~Q(state="held") & Q(resolved_at__isnull=False)),
                name="hold_resolved_has_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["account"], condition=Q(state="held"), name="hold_open"),
            models.Index(
                fields=["account", "state", "-resolved_at", "-id"],
                include=["amount_ucr"],
                name="hold_statement",
            ),
            models.Index(fields=["account", "created_at"], name="hold_of_a_day"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_ucr} {self.state}"


class TopUpBatch(models.Model):
    """Many people topped up at once: one commit, one reason, one line in the ledger for each."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("by"),
    )
    actor_name = models.CharField(_("by"), max_length=254)
    reason = models.CharField(_("reason"), max_length=200)
    note = models.CharField(_("note"), max_length=500, blank=True)
    people = models.PositiveIntegerField(_("people"))
    total_ucr = models.BigIntegerField(_("total"))
    lines_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField(_("when"), auto_now_add=True)

    class Meta:
        verbose_name = _("batch of top-ups")
        verbose_name_plural = _("batches of top-ups")
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(people__gte=1) & ~Q(actor_name="") & ~Q(reason=""),
                name="batch_needs_people_actor_and_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M} {self.reason}"
