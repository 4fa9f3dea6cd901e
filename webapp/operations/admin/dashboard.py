"""The first page of the admin site, the standing problems, what the nightly check found, and
backups."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.accounts.models import User
from webapp.core.charts import Series, bar_chart
from webapp.core.models import Notice
from webapp.core.units import format_credits
from webapp.credits.models import CreditRequest
from webapp.generation.models import Image
from webapp.generation.queueing.heartbeat import list_workers
from webapp.operations import figures
from webapp.operations.admin.base import ReadOnlyAdmin
from webapp.operations.admin.navigation import list_address
from webapp.operations.backups import runs
from webapp.operations.models import BackupRun, BooksCheck

NOTICES = 10


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    """Standing problems; deleting one says that it was seen to."""

    list_display = ["sentence", "times", "last_at"]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """True for superusers alone."""
        return bool(request.user.is_active and request.user.is_superuser)


@admin.register(BooksCheck)
class BooksCheckAdmin(ReadOnlyAdmin):
    """Results of `check_credits`, one row for each check that was kept; nightly ones are."""

    list_display = ["at", "violations", "summary", "took"]
    fields = ["at", "violations", "found", "summary", "took"]
    show_full_result_count = False

    @admin.display(description=gettext_lazy("seconds"), ordering="took_s")
    def took(self, check: BooksCheck) -> str:
        """Seconds, with one decimal."""
        return f"{check.took_s:.1f}"

    @admin.display(description=gettext_lazy("found"))
    def found(self, check: BooksCheck) -> str:
        """The first violations as sentences, one a line."""
        return "\n".join(check.first_sentences) or "–"


@admin.register(BackupRun)
class BackupRunAdmin(ReadOnlyAdmin):
    """Backups, drills and restores, each with how it went."""

    list_display = ["at", "kind", "name", "went", "images", "size", "took"]
    fields = ["at", "kind", "name", "place", "went", "images", "size", "took"]
    show_full_result_count = False

    @admin.display(description=gettext_lazy("seconds"), ordering="took_s")
    def took(self, run: BackupRun) -> str:
        """Seconds, with one decimal."""
        return f"{run.took_s:.1f}"

    @admin.display(description=gettext_lazy("size"), ordering="size_bytes")
    def size(self, run: BackupRun) -> str:
        """In the unit that fits."""
        return filesizeformat(run.size_bytes)

    @admin.display(description=gettext_lazy("result"))
    def went(self, run: BackupRun) -> str:
        """That it went well, or why not."""
        return run.failure or _("went well")


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What an administrator sees first. People who were let in without being superusers see the
    links at the side, and no figures."""
    context["title"] = _("Overview")
    if not (request.user.is_active and request.user.is_superuser):
        return context
    month = figures.read_month()
    return {
        **context,
        "queue": figures.count_queue(),
        "workers": list_workers(),
        "notices": list(Notice.objects.all()[:NOTICES]),
        "notices_url": list_address(Notice),
        "hours_chart": _draw_hours(figures.count_hours()),
        "month_chart": _draw_month(month),
        "failures": figures.list_failures(),
        "failures_url": f"{list_address(Image)}?state__exact=failed",
        "images_url": list_address(Image),
        "month": month,
        "users_url": list_address(User),
        "open_requests": figures.count_open_requests(),
        "requests_url": f"{list_address(CreditRequest)}?state__exact=open"
        if admin.site.is_registered(CreditRequest)
        else "",
        "check": BooksCheck.objects.first(),
        "checks_url": list_address(BooksCheck),
        **_describe_backups(),
    }


def _describe_backups() -> dict[str, Any]:
    """The last good backup and the last drill, and whether they are old."""
    made, drilled = (
        runs.newest(BackupRun.Kind.BACKUP),
        runs.newest(BackupRun.Kind.DRILL, good=False),
    )
    return {
        "backup": made,
        "backup_is_old": runs.is_backup_old(),
        "backups_are_nightly": bool(settings.BACKUP_TO),
        "drill": drilled,
        "drill_is_old": runs.is_drill_old(drilled),
        "backups_url": list_address(BackupRun),
    }


def _draw_hours(hours: figures.Hours) -> str:
    return bar_chart(
        slug="hours",
        title=_("Images per hour"),
        labels=[formats.date_format(hour, "H:i") for hour in hours.at],
        long_labels=[formats.date_format(hour, "SHORT_DATETIME_FORMAT") for hour in hours.at],
        label_name=_("Hour"),
        series=[
            Series(_("finished"), hours.stored, tone="good"),
            Series(_("failed"), hours.failed, tone="bad"),
        ],
        stacked=True,
    )


def _draw_month(month: figures.Month) -> str:
    return bar_chart(
        slug="month",
        title=_("Credits per day"),
        labels=[formats.date_format(day, "MONTH_DAY_FORMAT") for day in month.days],
        long_labels=[formats.date_format(day) for day in month.days],
        label_name=_("Day"),
        series=[
            Series(_("granted"), month.granted_ucr, tone="calm"),
            Series(_("spent"), month.spent_ucr),
        ],
        format_value=format_credits,
    )
