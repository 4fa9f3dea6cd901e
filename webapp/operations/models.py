"""The one-time link that makes the first administrator."""

from django.db import models


class SetupLink(models.Model):
    """Only the hash of the token is kept; a link is used once, and a newer one replaces it."""

    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d %H:%M} {'used' if self.used_at else 'open'}"
