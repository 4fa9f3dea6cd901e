"""A page of the admin site that asks before it acts: sentences, a form, one button or more, and
the password if it was not given lately."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from webapp.core.errors import DarkroomError
from webapp.core.numbers import DayField
from webapp.operations.admin.reauthentication import require_password

READ_IN_THE_LOG = _("It is recorded in the audit log.")


@dataclass(frozen=True, slots=True)
class Button:
    """What the form is sent with as `answer_with`, and what stands on the button."""

    value: str
    words: str | Promise
    variant: str = "primary"


@dataclass(frozen=True, slots=True)
class Question:
    """What stands around the form; `back` is the address that is left for without an answer."""

    title: str
    sentences: Sequence[str]
    buttons: Sequence[Button]
    back: str


class ReasonForm(forms.Form):
    """Why it is done, in up to `most` letters; the hint says who reads it."""

    def __init__(
        self,
        request: HttpRequest,
        *,
        most: int,
        hint: str | Promise = READ_IN_THE_LOG,
    ) -> None:
        super().__init__(posted(request))
        self.fields["reason"] = forms.CharField(
            label=_("Reason"),
            max_length=most,
            help_text=str(hint),
            widget=UnfoldAdminTextInputWidget,
        )


class OnceForm(forms.Form):
    """A form that is one act however often it is sent: its hidden key says which."""

    key = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)

    def clean(self) -> dict[str, Any] | None:
        """The cleaned fields; a hidden field has no place of its own for its complaint."""
        if "key" in self.errors:
            first = self.visible_fields()[0].name
            self.add_error(first, _("This form is incomplete. Open it again."))
        return super().clean()


class LastDayField(DayField):
    """The last day on which something can be used; empty for no end."""

    def __init__(self, **options: Any) -> None:
        hint = _("Valid until the end of this day. Empty: no expiry.")
        super().__init__(label=_("Last day"), required=False, help_text=hint, **options)


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: None, if nothing was sent."""
    return request.POST if request.method == "POST" else None


def ask(
    admin: "ModelAdmin[Any]",
    request: HttpRequest,
    form: forms.Form,
    question: Question,
    act: Callable[[], HttpResponse],
) -> HttpResponse:
    """What `act` answers, or the page that asks (`act_on` says which)."""
    return act_on(request, form, act) or ask_page(admin, request, form, question)


def act_on(
    request: HttpRequest, form: forms.Form, act: Callable[[], HttpResponse]
) -> HttpResponse | None:
    """What `act` answers, once the form is sent and valid; None while it is not, and if `act`
    raised a DarkroomError, whose sentence stands on the form then. Raises
    ReauthenticationRequired if the last password is too long ago."""
    if form.is_valid():
        require_password(request)
        try:
            return act()
        except DarkroomError as error:
            put_on_form(form, error)
    return None


def ask_page(
    admin: "ModelAdmin[Any]", request: HttpRequest, form: forms.Form, question: Question
) -> TemplateResponse:
    """The page; with 400 if the form says what is wrong."""
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": question.title,
        "question": question,
        "form": form,
    }
    status = 400 if form.errors else 200
    return TemplateResponse(request, "operations/ask_form.html", context, status=status)


def put_on_form(form: forms.Form, error: DarkroomError) -> None:
    """Writes the error's sentence at the field that it names, or above all fields."""
    named = getattr(error, "field", None)
    visible = {field.name for field in form.visible_fields()}
    form.add_error(named if named in visible else None, error.sentence)


def tell_and_leave(request: HttpRequest, sentence: str, address: str) -> HttpResponse:
    """On to the address, which says the sentence."""
    messages.success(request, sentence)
    return redirect(address)
