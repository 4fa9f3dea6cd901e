"""The one-time link that makes the first administrator, what the nightly check found, and how
backups went."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class SetupLink(models.Model):
    """Only the hash of the token is kept; a link is used once, and a newer one replaces it."""

    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M} {'used' if self.used_at else 'open'}"


class BooksCheck(models.Model):
    """One run of the check of the ledger; the newest is shown as the studio's health."""

    at = models.DateTimeField(_("when"), auto_now_add=True)
    violations = models.PositiveIntegerField(_("violations"))
    first_sentences = models.JSONField(_("found"), default=list, blank=True)
    summary = models.CharField(_("the ledger is consistent"), max_length=200)
    took_s = models.FloatField(_("seconds"))

    class Meta:
        verbose_name = _("ledger check")
        verbose_name_plural = _("ledger checks")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}: {self.violations}"


class BackupRun(models.Model):
    """One backup that was made or tried, one that was tried out (a drill), or one that this studio
    was restored from. Without a `failure` it went well."""

    class Kind(models.TextChoices):
        BACKUP = "backup", _("backup")
        DRILL = "drill", _("restore drill")
        RESTORE = "restore", _("restore")

    kind = models.CharField(_("kind"), max_length=7, choices=Kind)
    at = models.DateTimeField(_("when"), auto_now_add=True)
    name = models.CharField(_("name"), max_length=40, blank=True)
    place = models.CharField(_("place"), max_length=500, blank=True)
    size_bytes = models.BigIntegerField(_("size"), default=0)
    images = models.PositiveIntegerField(_("images"), default=0)
    took_s = models.FloatField(_("seconds"))
    failure = models.TextField(_("failure"), blank=True)

    class Meta:
        verbose_name = _("backup")
        verbose_name_plural = _("backups")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.name or self.pk}"
