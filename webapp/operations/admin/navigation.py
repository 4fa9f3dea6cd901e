"""What stands around the pages of the admin site: its rooms, its icon and its style sheets."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from webapp.accounts.models import Invitation, User, UserGroup
from webapp.catalog.models import DiffusionModel, Lora, PriceList
from webapp.core.models import AuditLine, Notice
from webapp.credits.models import CodeBatch, CreditRequest, Hold, TopUpBatch, Transaction
from webapp.generation.models import Image
from webapp.operations.models import BackupRun, BooksCheck

ROOMS: list[tuple[Promise, list[tuple[type[Model], Promise, str]]]] = [
    (
        _("Users"),
        [
            (User, _("Users"), "person"),
            (UserGroup, _("Groups"), "group"),
            (Invitation, _("Invitations"), "mail"),
        ],
    ),
    (
        _("Credits"),
        [
            (Transaction, _("Ledger"), "receipt_long"),
            (TopUpBatch, _("Top up many"), "playlist_add"),
            (CreditRequest, _("Requests"), "front_hand"),
            (CodeBatch, _("Codes"), "redeem"),
            (Hold, _("Holds"), "hourglass_empty"),
        ],
    ),
    (
        _("Catalog"),
        [
            (DiffusionModel, _("Models"), "deployed_code"),
            (Lora, _("LoRAs"), "layers"),
            (PriceList, _("Prices"), "sell"),
        ],
    ),
    (
        _("Queue"),
        [
            (Image, _("Images"), "image"),
        ],
    ),
    (
        _("Log"),
        [
            (AuditLine, _("Audit log"), "history"),
            (Notice, _("Notices"), "notifications"),
            (BooksCheck, _("Ledger checks"), "fact_check"),
            (BackupRun, _("Backups"), "backup"),
        ],
    ),
]


def list_rooms(request: HttpRequest) -> list[dict[str, Any]]:
    """The links at the side, in groups: only the pages that are there and that this person may
    open."""
    overview = {"title": _("Overview"), "icon": "dashboard", "link": reverse("admin:index")}
    first = [overview]
    if getattr(request.user, "is_superuser", False):
        first.append({"title": _("Set-up"), "icon": "tune", "link": reverse("welcome")})
    rooms: list[dict[str, Any]] = [{"items": first}]
    for title, pages in ROOMS:
        items = [_link(*page) for page in pages if _may_open(request, page[0])]
        if items:
            rooms.append({"title": title, "items": items})
    return rooms


def list_address(model: type[Model]) -> str:
    """Where the admin site lists the rows of the model."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def row_address(model: type[Model], key: object) -> str:
    """Where the admin site shows one row of the model."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[key])


def icon_url(request: HttpRequest) -> str:
    """The icon in the browser's tab, as on every other page."""
    return static("img/safelight.svg")


def charts_css(request: HttpRequest) -> str:
    """The address of the style sheet of the studio's charts."""
    return static("css/charts.css")


def admin_css(request: HttpRequest) -> str:
    """The address of the style sheet of what our pages add to the theme."""
    return static("css/admin.css")


def _may_open(request: HttpRequest, model: type[Model]) -> bool:
    page = admin.site._registry.get(model)
    return page is not None and page.has_view_permission(request)


def _link(model: type[Model], title: Promise, icon: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": list_address(model)}
