"""The admin site: users with their credits, the books (read-only), the catalog, the queue."""

import uuid
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model, QuerySet
from django.forms import BaseModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from webapp.accounts.models import User
from webapp.catalog.models import DiffusionModel
from webapp.core.errors import DarkroomError
from webapp.core.models import Notice
from webapp.core.units import format_credits, to_ucr
from webapp.credits import ledger
from webapp.credits.models import Account, Entry, Hold, Transaction
from webapp.generation.heartbeat import list_workers
from webapp.generation.models import Image

admin.site.unregister(Group)


class TopUpForm(forms.Form):
    """How many credits, and why; the hidden key makes a double click one top-up."""

    amount = forms.DecimalField(
        label=_("Credits"),
        max_digits=13,
        decimal_places=6,
        help_text=_("A negative amount takes credits away, as an adjustment."),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=ledger.MAX_REASON_LENGTH,
        help_text=_("The user sees it on the statement."),
        widget=UnfoldAdminTextInputWidget,
    )
    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def clean(self) -> dict[str, Any] | None:
        """The cleaned fields; a hidden field has no place of its own for its complaint."""
        if "key" in self.errors:
            self.add_error("amount", _("This form is incomplete. Open it again."))
        return super().clean()


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows that only services write: they can be looked at, and nothing else."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody changes by hand."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes by hand."""
        return False


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]
    """People and their balance; the button on top of a person's page books credits."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    ordering = ["-date_joined"]
    list_display = ["email", "available", "held", "is_active", "is_staff", "date_joined"]
    list_filter = ["is_active", "is_staff"]
    list_select_related = ["account"]
    search_fields = ["email"]
    readonly_fields = ["available", "held", "last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        (_("Credits"), {"fields": ["available", "held"]}),
        (_("Rights"), {"fields": ["is_active", "is_staff", "is_superuser"]}),
        (_("Dates"), {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "password1", "password2"]})]
    actions_detail = ["book_credits"]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Accounts are switched off: their books and running images need more than a DELETE."""
        return False

    @admin.display(description=_("available credits"), ordering="account__posted_ucr")
    def available(self, user: User) -> str:
        """What the person can spend."""
        account = getattr(user, "account", None)
        return format_credits(account.available_ucr) if account else "–"

    @admin.display(description=_("held credits"))
    def held(self, user: User) -> str:
        """What is set aside for images in progress."""
        account = getattr(user, "account", None)
        return format_credits(account.held_ucr) if account else "–"

    @action(description=_("Top up credits"), url_path="credits", icon="add_card")  # type: ignore[untyped-decorator]
    def book_credits(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """A form of amount and reason; on success back to the person's page."""
        user = self.get_object(request, str(object_id))
        if user is None or not self.has_change_permission(request, user):
            return redirect("admin:accounts_user_changelist")
        form = TopUpForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and _book(request, user, form):
            return redirect("admin:accounts_user_change", user.pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Top up %(user)s") % {"user": user},
            "person": user,
            "available": self.available(user),
            "form": form,
        }
        return TemplateResponse(request, "operations/book_credits.html", context)


def _book(request: HttpRequest, user: User, form: TopUpForm) -> bool:
    """True where the booking was made; False where its sentence stands on the form now."""
    amount: Decimal = form.cleaned_data["amount"]
    book = ledger.top_up if amount >= 0 else ledger.adjust
    assert isinstance(request.user, User)  # noqa: S101 - the admin site lets nobody else in
    try:
        book(
            user=user,
            amount_ucr=to_ucr(amount),
            actor=request.user,
            reason=form.cleaned_data["reason"],
            key=str(form.cleaned_data["key"]),
        )
    except DarkroomError as error:
        form.add_error(getattr(error, "field", "amount"), error.sentence)
        return False
    messages.success(request, _("%(amount)s credits were booked.") % {"amount": amount})
    return True


class DiffusionModelForm(forms.ModelForm):  # type: ignore[type-arg]
    """Leaves "one model is chosen at first" to `save_model`, which moves the choice."""

    def _get_validation_exclusions(self) -> set[str]:
        return {*super()._get_validation_exclusions(), "is_default"}  # type: ignore[misc]


@admin.register(DiffusionModel)
class DiffusionModelAdmin(ModelAdmin):  # type: ignore[misc]
    """Models on offer; files are added with `manage.py models`."""

    form = DiffusionModelForm
    list_display = ["name", "family", "enabled", "is_default", "is_installed", "problem"]
    list_filter = ["enabled", "family"]
    search_fields = ["name", "slug", "location"]
    readonly_fields = ["slug", "source", "location", "revision", "installed_path", "problem"]

    @admin.display(description=_("files are here"), boolean=True)
    def is_installed(self, model: DiffusionModel) -> bool:
        """False for a hub model that was not downloaded."""
        return model.is_installed

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Files are looked at before a row is written: `manage.py models add`."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Pictures point at their model: it is switched off instead."""
        return False

    def save_model(
        self, request: HttpRequest, obj: DiffusionModel, form: "BaseModelForm[Any]", change: bool
    ) -> None:
        """One model is chosen at first: choosing another takes it from the one before."""
        if obj.is_default:
            DiffusionModel.objects.exclude(pk=obj.pk).update(is_default=False)
        super().save_model(request, obj, form, change)


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    """Standing problems; deleting one says that it was seen to."""

    list_display = ["sentence", "times", "last_at"]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As the admin's own rights say."""
        return bool(request.user.is_active and request.user.is_superuser)


class EntryInline(TabularInline):  # type: ignore[misc]
    """The lines of one transaction."""

    model = Entry
    extra = 0
    can_delete = False
    fields = readonly_fields = ["account", "amount_ucr", "balance_after_ucr", "image_id"]

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The books are written by the ledger alone."""
        return False


@admin.register(Transaction)
class TransactionAdmin(ReadOnlyAdmin):
    """The books: who, when, why, how much."""

    list_display = ["created_at", "kind", "whose", "amount", "actor_name", "reason"]
    list_filter = ["kind", "created_at"]
    search_fields = ["actor_name", "reason", "idempotency_key"]
    inlines = [EntryInline]
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transaction]:
        """With the lines, so that a page of the list costs a handful of queries."""
        return super().get_queryset(request).prefetch_related("entries__account__user")  # type: ignore[no-any-return]

    @admin.display(description=_("credits"))
    def amount(self, posted: Transaction) -> str:
        """What moved on the user's account."""
        return format_credits(sum(entry.amount_ucr for entry in _user_lines(posted)))

    @admin.display(description=_("account"))
    def whose(self, posted: Transaction) -> str:
        """The user's account that it moved on."""
        return ", ".join(str(entry.account) for entry in _user_lines(posted))


def _user_lines(posted: Transaction) -> list[Entry]:
    """The lines on people's accounts; the system's carry no balance."""
    return [entry for entry in posted.entries.all() if entry.balance_after_ucr is not None]


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """Balances of people; the system's accounts carry none."""

    list_display = ["__str__", "kind", "posted", "held"]
    list_filter = ["kind"]
    list_select_related = ["user"]
    search_fields = ["user__email", "pseudonym"]

    @admin.display(description=_("posted credits"), ordering="posted_ucr")
    def posted(self, account: Account) -> str:
        """In credits."""
        return format_credits(account.posted_ucr)

    @admin.display(description=_("held credits"), ordering="held_ucr")
    def held(self, account: Account) -> str:
        """In credits."""
        return format_credits(account.held_ucr)


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    """What was set aside for each image, and what became of it."""

    list_display = ["created_at", "account", "amount", "state", "image_id"]
    list_filter = ["state"]
    list_select_related = ["account__user"]
    search_fields = ["image_id", "account__user__email"]

    @admin.display(description=_("credits"))
    def amount(self, hold: Hold) -> str:
        """In credits."""
        return format_credits(hold.amount_ucr)


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    """The queue and what became of it. Prompts and pictures stay their owner's."""

    list_display = ["created_at", "owner", "model", "state", "attempt", "worker", "failure_code"]
    list_filter = ["state", "model", "failure_code"]
    list_select_related = ["owner", "model"]
    search_fields = ["id", "owner__email"]
    exclude = ["file", "thumbnail", "generation", "lease_token"]
    show_full_result_count = False


def icon_url(request: HttpRequest) -> str:
    """The icon in the browser's tab, as on every other page."""
    return static("img/safelight.svg")


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """The standing problems and the living workers on the first page of the admin site."""
    context["workers"] = list_workers()
    context["notices"] = list(Notice.objects.all()[:10])
    context["notices_url"] = reverse("admin:core_notice_changelist")
    return context
