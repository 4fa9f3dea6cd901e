"""What the people who run the studio have to know, and what they did."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Notice(models.Model):
    """One standing problem (a broken model, a full disk); told again, it counts up. `mailed_at` and
    `posted_at` are when administrators were told of one that cannot wait, by mail and by the
    webhook."""

    code = models.CharField(_("code"), max_length=100, unique=True)
    sentence = models.TextField(_("what happened"))
    detail = models.TextField(_("detail"), blank=True)
    times = models.PositiveIntegerField(_("times"), default=1)
    first_at = models.DateTimeField(_("first"), auto_now_add=True)
    last_at = models.DateTimeField(_("last"), auto_now=True)
    mailed_at = models.DateTimeField(_("mailed"), null=True, blank=True)
    posted_at = models.DateTimeField(_("sent to the webhook"), null=True, blank=True)

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        ordering = ["-last_at"]

    def __str__(self) -> str:
        return self.sentence[:80]


class AuditLine(models.Model):
    """Who did what to whom, when and why; append-only (triggers refuse UPDATE, DELETE, TRUNCATE).

    Names are copied: the line reads the same after an account is gone.
    """

    at = models.DateTimeField(_("when"), auto_now_add=True, db_index=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("who"),
    )
    actor_name = models.CharField(_("who"), max_length=254, blank=True)
    action = models.CharField(_("action"), max_length=64)
    subject_kind = models.CharField(_("kind"), max_length=32)
    subject_id = models.CharField(max_length=64, db_index=True)
    subject_name = models.CharField(_("to whom or what"), max_length=254, blank=True)
    reason = models.CharField(_("why"), max_length=500, blank=True)
    before = models.JSONField(_("before"), default=dict, blank=True)
    after = models.JSONField(_("after"), default=dict, blank=True)

    class Meta:
        verbose_name = _("audit line")
        verbose_name_plural = _("audit log")
        ordering = ["-id"]
        indexes = [models.Index(fields=["subject_kind", "subject_id", "-id"], name="audit_subject")]

    def __str__(self) -> str:
        return f"{self.actor_name or '–'} {self.action} {self.subject_name}"


class IdempotencyKey(models.Model):
    """One request that must happen once: running -> done with its answer; kept for 24 hours.

    `token` belongs to the run that holds the key, so that a run which was given up for lost can
    no longer write its answer.
    """

    class State(models.TextChoices):
        RUNNING = "running", _("running")
        DONE = "done", _("done")

    scope = models.CharField(max_length=64)
    key = models.CharField(max_length=64)
    body_hash = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    token = models.UUIDField(default=uuid.uuid4)
    answer = models.JSONField(null=True, blank=True)
    started_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "key"], name="idempotency_key_once"),
            models.CheckConstraint(
                condition=Q(state="running", answer=None) | Q(state="done", answer__isnull=False),
                name="idempotency_answer_when_done",
            ),
        ]
        indexes = [models.Index(fields=["started_at"], name="idempotency_age")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key} {self.state}"


class Leadership(models.Model):
    """Which of several processes leads, and until when by the database's clock unless it says so
    again (`core.leader`)."""

    name = models.CharField(max_length=32, primary_key=True)
    holder = models.CharField(max_length=120)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"
