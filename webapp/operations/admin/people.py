"""People: the list, the page with all that an operator needs, and credits posted by hand."""

from typing import Any, ClassVar, cast

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import F, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from webapp.accounts.models import User
from webapp.accounts.second_step import list_second_steps
from webapp.core import audit
from webapp.core.errors import InvalidInput
from webapp.core.units import format_credits, to_ucr
from webapp.operations import batches
from webapp.operations.admin.ask import OnceForm, act_on, posted, tell_and_leave
from webapp.operations.admin.base import AuditedAdmin
from webapp.operations.admin.booking import (
    ChangeField,
    CreditsField,
    WordsForm,
    require_booker,
)
from webapp.operations.admin.filters import DatesFilter, FormFilter
from webapp.operations.admin.long_lists import LongList, WholeListPaginator, short_time
from webapp.operations.admin.people_search import find_people
from webapp.operations.admin.person_actions import PERSON_ACTIONS, PersonActions
from webapp.operations.admin.person_page import describe_person
from webapp.operations.admin.reauthentication import require_password
from webapp.operations.batch_file import MAX_LINES
from webapp.operations.topups import Booked, book_credits

admin.site.unregister(Group)
# Secrets, and keys of sessions: a person's own page shows what can be done about them.
admin.site.unregister([Authenticator, UserSession])


class TopUpForm(OnceForm, WordsForm):
    """How many credits, and why."""

    field_order = ("amount", "reason", "note")
    amount = ChangeField(
        label=gettext_lazy("Credits"),
        help_text=gettext_lazy("A negative amount takes credits away, as an adjustment."),
    )


class PersonForm(UserChangeForm):  # type: ignore[misc]
    """The account: its address, its group and its rights. The password has a page of its own."""

    class Meta(UserChangeForm.Meta):  # type: ignore[misc]
        labels: ClassVar[dict[str, Any]] = {"is_superuser": gettext_lazy("Superuser")}
        help_texts: ClassVar[dict[str, Any]] = {
            "is_active": "",
            "is_superuser": gettext_lazy(
                "Can do everything on the admin site, whatever permissions are set below."
            ),
        }


class AvailableForm(forms.Form):
    """The amount of credits below which users are listed."""

    below = CreditsField(label=gettext_lazy("Below"), required=False, min_value=0)


class AvailableFilter(FormFilter):
    """Users who have less to spend than was typed in."""

    title = gettext_lazy("available credits")
    form_class = AvailableForm

    def narrow(self, queryset: "QuerySet[Any]", given: dict[str, Any]) -> "QuerySet[Any]":
        return queryset.filter(account__posted_ucr__lt=F("account__held_ucr") + given["below"])


class JoinedFilter(DatesFilter):
    """Users who joined on some days."""

    title = gettext_lazy("joined")
    column = "date_joined"


class LowFilter(admin.SimpleListFilter):
    """Those who run low, as the overview counts them."""

    title = gettext_lazy("running low")
    parameter_name = "low"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", _("Yes"))]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        """Active people below `DARKROOM_LOW_BALANCE`."""
        if self.value() != "1":
            return queryset
        threshold_ucr = to_ucr(settings.LOW_BALANCE)
        low = queryset.filter(account__posted_ucr__lt=F("account__held_ucr") + threshold_ucr)
        return low.filter(is_active=True)


class WelcomeFilter(admin.SimpleListFilter):
    """Those whose welcome credits wait for an administrator."""

    title = gettext_lazy("welcome credits waiting")
    parameter_name = "welcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", _("Yes"))]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.exclude(account__welcome_held="") if self.value() == "1" else queryset


@admin.register(User)
class UserAdmin(LongList, PersonActions, DjangoUserAdmin, AuditedAdmin):  # type: ignore[type-arg]
    """People and their balance; a person's page tells all that explains a charge."""

    form = PersonForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    audit_name = "user"
    audit_skips = frozenset({"last_login", "session_epoch", "mailbox"})
    ordering = ["-date_joined", "-pk"]
    list_display = ["email", "available", "held", "group", "is_active", "is_staff", "joined"]
    list_filter = [
        "is_active",
        "is_staff",
        "group",
        WelcomeFilter,
        LowFilter,
        AvailableFilter,
        JoinedFilter,
    ]
    list_filter_submit = True
    list_select_related = ["account", "group"]
    list_per_page = 50
    paginator = WholeListPaginator
    sortable_by: ClassVar[list[str]] = ["email", "available", "joined"]
    search_fields = ["email"]
    search_help_text = gettext_lazy("Beginning of the address, or @domain")
    readonly_fields = ["available", "held", "is_active", "last_login", "date_joined"]
    fieldsets = [
        (None, {"fields": ["email", "group"]}),
        (gettext_lazy("Permissions"), {"fields": ["is_active", "is_staff", "is_superuser"]}),
        (gettext_lazy("Dates"), {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "password1", "password2"]})]
    change_form_outer_before_template = "operations/person_head.html"
    change_form_outer_after_template = "operations/person.html"
    actions = ["top_up_chosen"]
    actions_detail = PERSON_ACTIONS

    def get_queryset(self, request: HttpRequest) -> "QuerySet[User]":
        """With the accounts, for the list and the page alike."""
        people: QuerySet[User] = super().get_queryset(request)
        return people.select_related("account", "group", "invitation__created_by")

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        """By the beginning of the address, through its index; with an @ in front by the domain."""
        return (find_people(queryset, search_term) if search_term else queryset), False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Accounts are deleted by a page of their own: a DELETE would not do."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Django's, and that of the form which gives or takes one user's credits."""
        book = self.admin_site.admin_view(self.book_credits)
        return [
            path("<int:user_id>/credits/", book, name="accounts_user_credits"),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("joined"), ordering="date_joined")
    def joined(self, user: User) -> str:
        return short_time(user.date_joined)

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """None: they stand among the page's own buttons, where they fit on a phone."""
        return []

    @admin.display(description=gettext_lazy("available credits"), ordering="account__posted_ucr")
    def available(self, user: User) -> str:
        """What the user can spend; a dash without an account of credits."""
        account = getattr(user, "account", None)
        return format_credits(account.available_ucr) if account else "–"

    @admin.display(description=gettext_lazy("held credits"))
    def held(self, user: User) -> str:
        """What is set aside for images in progress."""
        account = getattr(user, "account", None)
        return format_credits(account.held_ucr) if account else "–"

    @admin.action(description=gettext_lazy("Top up the selected users"), permissions=["change"])
    def top_up_chosen(self, request: HttpRequest, people: "QuerySet[User]") -> HttpResponse | None:
        """On to the form of a batch, with these people."""
        ids = list(people.order_by().values_list("pk", flat=True)[: MAX_LINES + 1])
        try:
            choice_id = batches.keep_people(actor=cast("User", request.user), ids=ids)
        except InvalidInput as error:
            messages.error(request, error.sentence)
            return None
        return redirect(f"{reverse('admin:credits_topupbatch_new')}?people={choice_id}")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The form, and below it all that explains a charge. What is sent needs the password of
        the last five minutes: it may give rights away."""
        if request.method == "POST":
            require_password(request)
        user = self.get_object(request, object_id)
        if isinstance(user, User) and request.method == "GET":
            buttons = self._list_buttons(request, user)
            more = {"person": user, "person_buttons": buttons, **describe_person(user)}
            extra_context = {**(extra_context or {}), **more}
        return super().change_view(request, object_id, form_url, extra_context)

    def _list_buttons(self, request: HttpRequest, user: User) -> list[dict[str, Any]]:
        """What the administrator can do to the person now, besides their credits."""
        buttons = _list_acts(user) if request.user.is_superuser else []
        if not self.has_change_permission(request, user):
            return buttons
        password = reverse("admin:auth_user_password_change", args=[user.pk])
        return [{"title": _("Set a password"), "link": password, "is_danger": False}, *buttons]

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        """As Django's, written to the audit log in the same commit."""
        if request.method == "POST":
            require_password(request)
        with transaction.atomic():
            response: HttpResponse = super().user_change_password(request, id, form_url)
            if request.method == "POST" and response.status_code == 302:
                person = User.objects.get(pk=id)
                actor = cast("User", request.user)
                audit.record(actor=actor, action="user.password", subject=person)
        return response

    def book_credits(self, request: HttpRequest, user_id: int) -> HttpResponse:
        """A form of amount and reason; on success back to the person's page."""
        actor = require_booker(request)
        user = self.get_object(request, str(user_id))
        if not isinstance(user, User):
            return redirect("admin:accounts_user_changelist")
        form = TopUpForm(posted(request))
        done = act_on(request, form, lambda: _book(request, actor, user, form))
        if done is not None:
            return done
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Top up %(user)s") % {"user": user},
            "person": user,
            "available": self.available(user),
            "form": form,
        }
        return TemplateResponse(request, "operations/book_credits.html", context)


def _list_acts(user: User) -> list[dict[str, Any]]:
    """What only a superuser may do to a person."""
    names = ["act_as", "suspend" if user.is_active else "restore", "delete_person"]
    if list_second_steps(user=user):
        names.insert(1, "take_off_second_step")
    if user.account.welcome_held:
        names.insert(0, "give_welcome")
    return [
        {
            "title": getattr(PersonActions, name).short_description,
            "link": reverse(f"admin:accounts_user_{name}", args=[user.pk]),
            "is_danger": name in {"suspend", "delete_person"},
        }
        for name in names
        if name != "act_as" or (user.is_active and not user.is_staff)
    ]


def _book(request: HttpRequest, actor: User, user: User, form: TopUpForm) -> HttpResponse:
    given = form.cleaned_data
    booked = book_credits(
        user=user,
        amount_ucr=given["amount"],
        actor=actor,
        reason=given["reason"],
        note=given["note"],
        key=str(given["key"]),
    )
    page = reverse("admin:accounts_user_change", args=[user.pk])
    return tell_and_leave(request, _tell(booked), page)


def _tell(booked: Booked) -> str:
    moved_ucr = booked.after_ucr - booked.before_ucr
    sentence = (
        _("%(amount)s credits were taken away: %(before)s before, %(after)s now.")
        if moved_ucr < 0
        else _("%(amount)s credits were posted: %(before)s before, %(after)s now.")
    )
    return sentence % {
        "amount": format_credits(abs(moved_ucr)),
        "before": format_credits(booked.before_ucr),
        "after": format_credits(booked.after_ucr),
    }
