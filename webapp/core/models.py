"""What the people who run the studio have to know."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Notice(models.Model):
    """One standing problem (a broken model, a full disk); told again, it counts up."""

    code = models.CharField(_("code"), max_length=100, unique=True)
    sentence = models.TextField(_("what happened"))
    detail = models.TextField(_("detail"), blank=True)
    times = models.PositiveIntegerField(_("times"), default=1)
    first_at = models.DateTimeField(_("first"), auto_now_add=True)
    last_at = models.DateTimeField(_("last"), auto_now=True)

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        ordering = ["-last_at"]

    def __str__(self) -> str:
        return self.sentence[:80]
