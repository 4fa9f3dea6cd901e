"""Top up many: choose or send a file, look at every line, book them all at once; and undo."""

import uuid
from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import action

from webapp.accounts.models import User, UserGroup
from webapp.core.csv_lines import safe_text
from webapp.core.errors import DarkroomError, InvalidInput
from webapp.core.ids import find_id
from webapp.core.numbers import DayField, WholeNumberField
from webapp.core.units import format_credits
from webapp.credits.models import Account, Entry, TopUpBatch
from webapp.operations import batches, topups
from webapp.operations.admin.base import ReadOnlyAdmin
from webapp.operations.admin.booking import (
    ChangeField,
    CreditsField,
    WordsForm,
    reason_page,
    require_booker,
)
from webapp.operations.admin.csv_files import send_csv
from webapp.operations.admin.reauthentication import require_password
from webapp.operations.batch_file import MAX_BYTES, MAX_LINES, read_batch_file, template_file

LINES_PER_PAGE = 100
RESULT_COLUMNS = ("email", "amount", "balance", "reason", "undone")
DateInput = forms.DateInput(attrs={"type": "date"})


class FileForm(WordsForm):
    """A file with a line for each person."""

    field_order = ("file", "reason", "note")
    file = forms.FileField(
        label=gettext_lazy("CSV file"),
        help_text=gettext_lazy(
            "Columns email, amount and, if you like, reason; a negative amount takes away."
        ),
    )

    def clean_file(self) -> Any:
        """The file's lines. Raises ValidationError with the sentence that says why the file cannot
        be read."""
        file = self.cleaned_data["file"]
        try:
            return read_batch_file(file.read(MAX_BYTES + 1))
        except InvalidInput as error:
            raise forms.ValidationError(error.sentence) from error


class AmountForm(WordsForm):
    """The same amount for people who were ticked in the list of users."""

    field_order: Sequence[str] | None = ("amount", "reason", "note")
    amount = ChangeField(
        label=gettext_lazy("Credits for each"),
        help_text=gettext_lazy("A negative amount takes credits away."),
    )


class ChoiceForm(AmountForm):
    """The same amount for everybody whom all of this fits."""

    field_order = ("group", "below", "joined_since", "active_days", "amount", "reason", "note")
    group = forms.ModelChoiceField(
        label=gettext_lazy("Group"),
        queryset=UserGroup.objects.all(),
        required=False,
        empty_label=gettext_lazy("any"),
    )
    below = CreditsField(label=gettext_lazy("Available credits below"), required=False, min_value=0)
    joined_since = DayField(label=gettext_lazy("Joined since"), required=False, widget=DateInput)
    active_days = WholeNumberField(
        label=gettext_lazy("Requested an image in the last (days)"),
        required=False,
        min_value=1,
        max_value=3650,
    )

    def choose(self) -> QuerySet[User]:
        """The people of the valid form."""
        given = self.cleaned_data
        return batches.choose_people(
            batches.Choice(
                group=given["group"],
                below_ucr=given["below"],
                joined_since=given["joined_since"],
                active_days=given["active_days"],
            )
        )


@admin.register(TopUpBatch)
class TopUpBatchAdmin(ReadOnlyAdmin):
    """Batches that were posted, and the way to a new one."""

    list_display = ["created_at", "reason", "people", "total", "actor_name"]
    search_fields = ["reason", "actor_name"]
    actions_list = ["start"]
    show_full_result_count = False

    @admin.display(description=gettext_lazy("credits"), ordering="total_ucr")
    def total(self, batch: TopUpBatch) -> str:
        return format_credits(batch.total_ucr)

    def get_urls(self) -> list[URLPattern]:
        """The steps of a new batch, and what can be done with a posted one."""
        wrap = self.admin_site.admin_view
        name = "credits_topupbatch"
        return [
            path("new/", wrap(self.start_batch), name=f"{name}_new"),
            path("template.csv", wrap(self.send_template), name=f"{name}_template"),
            path("preview/<uuid:draft_id>/", wrap(self.preview), name=f"{name}_preview"),
            path("<uuid:batch_id>/undo/", wrap(self.undo), name=f"{name}_undo"),
            path("<uuid:batch_id>/lines.csv", wrap(self.send_lines), name=f"{name}_lines"),
            *super().get_urls(),
        ]

    @action(description=gettext_lazy("New batch"), url_path="start", icon="playlist_add")  # type: ignore[untyped-decorator]
    def start(self, request: HttpRequest) -> HttpResponse:
        """The button above the list: redirects to the form of a new batch."""
        return redirect("admin:credits_topupbatch_new")

    def start_batch(self, request: HttpRequest) -> HttpResponse:
        """Step 1: a file, a choice, or the people who were ticked; then on to the preview."""
        actor = require_booker(request)
        ticked, choice_id = None, request.GET.get("people", "")
        if choice_id:
            ticked = batches.get_people(actor=actor, choice_id=_read_choice(choice_id))
        kind = request.POST.get("kind", "")
        forms_of: dict[str, type[WordsForm]] = {"file": FileForm, "choice": ChoiceForm}
        if ticked is not None:
            forms_of = {"ticked": AmountForm}
        sent = {
            name: form(request.POST, request.FILES, prefix=name)
            if name == kind
            else form(prefix=name)
            for name, form in forms_of.items()
        }
        if kind in sent and sent[kind].is_valid():
            try:
                draft = _draft(actor, sent[kind], ticked)
            except InvalidInput as error:
                sent[kind].add_error(None, error.sentence)
            else:
                return redirect("admin:credits_topupbatch_preview", draft.id)
        context = {"forms": sent, "ticked": ticked.count() if ticked is not None else 0}
        return self._page(request, "batch_new", _("Top up many"), most=MAX_LINES, **context)

    def preview(self, request: HttpRequest, draft_id: uuid.UUID) -> HttpResponse:
        """Step 2: every line, before anything is posted; POST posts them all, step 3."""
        actor = require_booker(request)
        booked = TopUpBatch.objects.filter(pk=draft_id).first()
        if booked is not None and request.method != "POST":
            return _to_batch(booked)
        draft = batches.get_draft(actor=actor, draft_id=draft_id)
        if request.method == "POST":
            require_password(request)
            try:
                batch = batches.book_draft(actor=actor, draft=draft)
            except DarkroomError as error:
                messages.error(request, error.sentence)
                draft = batches.look_again(actor=actor, draft=draft)
            else:
                messages.success(request, _tell_booked(batch))
                return _to_batch(batch)
        wrong = draft.wrong
        lines = _turn_to(request, wrong or draft.lines)
        title = _("Preview every line")
        return self._page(
            request, "batch_preview", title, draft=draft, wrong=len(wrong), lines=lines
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A posted batch with the result for each user; 403 for whoever may not see it. Raises
        Http404 if there is no such batch."""
        batch = self.get_object(request, object_id)
        if batch is None:
            raise Http404
        if not self.has_view_permission(request, batch):
            return HttpResponse(status=403)
        lines = _turn_to(request, _list_lines(batch))
        return self._page(request, "batch", str(batch), batch=batch, lines=lines)

    def undo(self, request: HttpRequest, batch_id: uuid.UUID) -> HttpResponse:
        """Asks for the reason, takes back what can be taken, and tells whose credits were spent
        meanwhile. Raises Http404 if there is no such batch."""
        batch = TopUpBatch.objects.filter(pk=batch_id).first()
        if batch is None:
            raise Http404
        return reason_page(
            request,
            self,
            title=_("Undo the batch"),
            lead=_(
                "Each user's line is undone by a new entry. If the credits were spent in the "
                "meantime, the line stays as it is."
            ),
            button=_("Undo the batch"),
            act=lambda actor, reason: _undo(batch, actor, reason),
            back=reverse("admin:credits_topupbatch_change", args=[batch_id]),
        )

    def send_lines(self, request: HttpRequest, batch_id: uuid.UUID) -> StreamingHttpResponse:
        """The result for each user, as CSV. Raises Http404 if there is no such batch, or it may not
        be seen."""
        batch = TopUpBatch.objects.filter(pk=batch_id).first()
        if batch is None or not self.has_view_permission(request, batch):
            raise Http404
        name = f"top-ups-{batch.created_at:%Y-%m-%d}.csv"
        return send_csv(name, RESULT_COLUMNS, _list_lines(batch), _cells)

    def send_template(self, request: HttpRequest) -> HttpResponse:
        """A CSV file with the right columns and an example line, to fill in."""
        response = HttpResponse(template_file(), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="top-ups.csv"'
        return response

    def _page(
        self, request: HttpRequest, name: str, title: str, **context: Any
    ) -> TemplateResponse:
        site = self.admin_site.each_context(request)
        return TemplateResponse(
            request,
            f"operations/{name}.html",
            {**site, "opts": self.opts, "title": title, **context},
        )


def _draft(actor: User, form: WordsForm, ticked: QuerySet[User] | None) -> batches.Draft:
    given = form.cleaned_data
    words = {"reason": given["reason"], "note": given["note"]}
    if isinstance(form, FileForm):
        return batches.draft_for_lines(actor=actor, lines=given["file"], **words)
    if isinstance(form, ChoiceForm):
        ticked = form.choose()
    people = cast("QuerySet[User]", ticked)
    return batches.draft_for_people(actor=actor, people=people, amount_ucr=given["amount"], **words)


def _undo(batch: TopUpBatch, actor: User, reason: str) -> str:
    undo = topups.undo_batch(batch_id=batch.pk, actor=actor, reason=reason)
    told = ngettext("%(n)d line was undone.", "%(n)d lines were undone.", undo.undone)
    sentences = [told % {"n": undo.undone}]
    if undo.kept:
        kept = ngettext(
            "%(n)d line stays: its credits were spent.",
            "%(n)d lines stay: their credits were spent.",
            len(undo.kept),
        )
        sentences.append(kept % {"n": len(undo.kept)})
    return " ".join(sentences)


def _tell_booked(batch: TopUpBatch) -> str:
    sentence = ngettext(
        "%(credits)s credits were posted for %(n)d user.",
        "%(credits)s credits were posted for %(n)d users.",
        batch.people,
    )
    return sentence % {"credits": format_credits(batch.total_ucr), "n": batch.people}


def _to_batch(batch: TopUpBatch) -> HttpResponseRedirect:
    return redirect("admin:credits_topupbatch_change", batch.pk)


def _list_lines(batch: TopUpBatch) -> QuerySet[Entry]:
    """What the batch posted to people's accounts, in the order of its lines."""
    return (
        Entry.objects.filter(transaction__batch=batch, account__kind=Account.Kind.USER)
        .select_related("account__user", "transaction__reversed_by")
        .order_by("pk")
    )


def _turn_to(request: HttpRequest, lines: Any) -> Page[Any]:
    return Paginator(lines, LINES_PER_PAGE).get_page(request.GET.get("page"))


def _cells(line: Entry) -> tuple[str, ...]:
    """As `RESULT_COLUMNS` names them."""
    return (
        safe_text(str(line.account)),
        format_credits(line.amount_ucr),
        format_credits(line.balance_after_ucr or 0),
        safe_text(line.transaction.reason),
        "yes" if hasattr(line.transaction, "reversed_by") else "",
    )


def _read_choice(text: str) -> uuid.UUID:
    choice_id = find_id(text)
    if choice_id is None:
        raise Http404
    return choice_id
