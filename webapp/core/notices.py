"""Telling admins: a notice stays in the admin site until somebody deletes it."""

import logging

from django.db.models import F
from django.utils import timezone

from webapp.core.models import Notice

logger = logging.getLogger(__name__)


def tell_admins(*, code: str, sentence: str, detail: str = "") -> None:
    """Writes the notice, or counts it up if it stands already; it goes to the log too."""
    logger.error("%s %s (%s)", sentence, detail, code)
    told = Notice.objects.filter(code=code).update(
        sentence=sentence, detail=detail, times=F("times") + 1, last_at=timezone.now()
    )
    if not told:
        Notice.objects.get_or_create(code=code, defaults={"sentence": sentence, "detail": detail})


def withdraw(*, code: str) -> None:
    """Removes the notice of that code, if there is one: its cause is gone."""
    Notice.objects.filter(code=code).delete()


def withdraw_all(*, kind: str, about: str) -> None:
    """Removes the notices whose codes are `kind:...:about`."""
    Notice.objects.filter(code__startswith=f"{kind}:", code__endswith=f":{about}").delete()
