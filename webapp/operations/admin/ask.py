"""A page of the admin site that asks before it acts: sentences, a form, and one button or more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.functional import Promise

from webapp.core.errors import DarkroomError


@dataclass(frozen=True, slots=True)
class Button:
    """What the form is sent with as `answer_with`, and what stands on the button."""

    value: str
    words: str | Promise
    variant: str = "primary"


def ask_page(
    admin: "ModelAdmin[Any]",
    request: HttpRequest,
    *,
    title: str,
    sentences: Sequence[str],
    form: forms.Form,
    buttons: Sequence[Button],
    back: str,
) -> TemplateResponse:
    """The page; with 400 if the form says what is wrong."""
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": title,
        "sentences": sentences,
        "form": form,
        "buttons": buttons,
        "back": back,
    }
    status = 400 if form.errors else 200
    return TemplateResponse(request, "operations/ask_form.html", context, status=status)


def put_on_form(form: forms.Form, error: DarkroomError) -> None:
    """Writes the error's sentence at the field that it names, or above all fields."""
    named = getattr(error, "field", None)
    visible = {field.name for field in form.visible_fields()}
    form.add_error(named if named in visible else None, error.sentence)
