"""What beat does every night, and every minute."""

import logging

from celery import shared_task
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone
from django.utils.translation import gettext as _

from webapp.accounts.sessions import forget_ended_sessions
from webapp.core.idempotency import purge_old_keys
from webapp.core.valkey import valkey
from webapp.credits.welcomes import forget_networks
from webapp.operations.alerts import tell_urgent_notices
from webapp.operations.audit import check_books
from webapp.operations.backups import BackupError
from webapp.operations.backups.runs import back_up, tell_failure
from webapp.operations.people import end_work_of_the_suspended
from webapp.operations.people import finish_deletions as finish_all_deletions
from webapp.operations.studio_watch import StudioWatch
from webapp.postgres.limits import CHECK_S, answers_within

logger = logging.getLogger(__name__)

studio_watch = StudioWatch()

# Reading every image can take hours, and the broker hands out a task anew after one.
CHECKING_KEY, BACKUP_KEY = "darkroom:books-check", "darkroom:backup"
CHECKING_S = 12 * 3600


@shared_task(name="webapp.operations.tasks.check_nightly")
def check_nightly() -> None:
    """Checks the ledger and keeps what was found; nothing if a check is running already."""
    if not valkey().set(CHECKING_KEY, "1", nx=True, ex=CHECKING_S):
        return
    try:
        with answers_within(CHECK_S):
            check_books(files=settings.CHECK_FILES)
    except OperationalError as error:
        logger.error("the ledger check is put off, the database does not answer: %s", error)
    finally:
        valkey().delete(CHECKING_KEY)


@shared_task(name="webapp.operations.tasks.back_up_nightly")
def back_up_nightly() -> None:
    """Makes a backup and deletes those that are more than are to be kept, if it is said where to;
    nothing if another process does already."""
    if not settings.BACKUP_TO or not valkey().set(BACKUP_KEY, "1", nx=True, ex=CHECKING_S):
        return
    try:
        made, deleted = back_up(to=settings.BACKUP_TO, keep=settings.BACKUP_KEEP)
        logger.info("%s was made, %d older ones were deleted", made.name, len(deleted))
    except BackupError as error:
        tell_failure(error, sentence=_("The nightly backup failed."))
    except OperationalError as error:
        logger.error("the backup is not written down, the database does not answer: %s", error)
    finally:
        valkey().delete(BACKUP_KEY)


@shared_task(name="webapp.operations.tasks.watch_studio")
def watch_studio() -> None:
    """Every minute: tells administrators of what keeps the studio from its work, and sends out
    what cannot wait."""
    try:
        studio_watch.look()
        tell_urgent_notices()
    except OperationalError as error:
        logger.error("the studio is looked at later, the database does not answer: %s", error)


@shared_task(name="webapp.operations.tasks.purge")
def purge() -> None:
    """Forgets the keys of requests that were sent more than a day ago, from where people signed up
    a week ago, and sessions that are over."""
    try:
        purge_old_keys()
        forget_ended_sessions()
        forget_networks(today=timezone.localdate())
    except OperationalError as error:
        logger.error("the purge is put off, the database does not answer: %s", error)


@shared_task(name="webapp.operations.tasks.finish_deletions")
def finish_deletions() -> None:
    """Every minute: erases those who are to be deleted, and ends the work of suspended accounts."""
    try:
        finish_all_deletions()
        end_work_of_the_suspended()
    except OperationalError as error:
        logger.error("deletions are put off, the database does not answer: %s", error)
