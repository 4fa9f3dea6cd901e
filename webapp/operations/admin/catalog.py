"""Models and LoRAs on offer."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import ManyToManyField, Model
from django.forms import BaseModelForm
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from webapp.catalog.models import DiffusionModel, Lora
from webapp.catalog.vocabulary_services import describe_vocabulary
from webapp.operations.admin.base import AuditedAdmin
from webapp.operations.model_memory import model_memory


class DiffusionModelForm(forms.ModelForm):  # type: ignore[type-arg]
    """Leaves "one model is the default" to `save_model`, which moves the choice."""

    def _get_validation_exclusions(self) -> set[str]:
        return {*super()._get_validation_exclusions(), "is_default"}  # type: ignore[misc]


class FilesAdmin(AuditedAdmin):
    """What is made of files, which groups may be limited to."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Files are looked at before a row is written: `manage.py models add`."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """False: images refer to it, so it is disabled instead."""
        return False

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest, **options: Any
    ) -> Any:
        """Groups are few: one box for each."""
        options["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        return super().formfield_for_manytomany(db_field, request, **options)


@admin.register(Lora)
class LoraAdmin(FilesAdmin):
    """LoRAs on offer; files are added with `manage.py models`."""

    audit_name = "lora"
    audit_skips = frozenset({"created_at"})
    list_display = ["name", "slug", "family", "enabled", "trigger_words"]
    list_filter = ["enabled", "family"]
    search_fields = ["name", "slug", "location", "trigger_words"]
    readonly_fields = ["slug", "family", "location", "data_hash", "size_bytes"]


@admin.register(DiffusionModel)
class DiffusionModelAdmin(FilesAdmin):
    """Models on offer; files are added with `manage.py models`."""

    audit_name = "model"
    audit_skips = frozenset({"created_at", "problem", "vocabulary_digest", "vocabulary_problem"})
    form = DiffusionModelForm
    list_display = ["name", "family", "enabled", "is_default", "is_installed", "problem"]
    list_filter = ["enabled", "family"]
    search_fields = ["name", "slug", "location"]
    readonly_fields = [
        "slug",
        "source",
        "location",
        "revision",
        "installed_path",
        "problem",
        "words",
        "vocabulary_problem",
    ]

    change_form_outer_before_template = "operations/model_memory.html"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """With what the model needs of a device, which is asked before any transaction."""
        extra: dict[str, Any] = {}
        model = self.get_object(request, object_id)
        if request.method == "GET" and model and self.has_view_permission(request, model):
            extra["memory"] = model_memory(model=model)
        context = (extra_context or {}) | extra
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer

    @admin.display(description=_("files are here"), boolean=True)
    def is_installed(self, model: DiffusionModel) -> bool:
        """False for a hub model that was not downloaded."""
        return model.is_installed

    @admin.display(description=_("vocabulary"))
    def words(self, model: DiffusionModel) -> str:
        """What its folder says that it knows."""
        return describe_vocabulary(model)

    def save_model(
        self, request: HttpRequest, obj: Model, form: "BaseModelForm[Any]", change: bool
    ) -> None:
        """One model is the default: choosing another takes it from the one before."""
        if form.cleaned_data.get("is_default"):
            for other in DiffusionModel.objects.exclude(pk=obj.pk).filter(is_default=True):
                DiffusionModel.objects.filter(pk=other.pk).update(is_default=False)
                self._record(
                    request,
                    other,
                    "change",
                    before={"is_default": True},
                    after={"is_default": False},
                )
        super().save_model(request, obj, form, change)
