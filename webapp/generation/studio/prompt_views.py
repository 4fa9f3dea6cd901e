"""The door to one's own past prompts."""

from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.views.decorators.cache import never_cache

from webapp.accounts.requests import SignedInRequest
from webapp.core.methods import require_GET
from webapp.generation.studio.prompts import list_past_prompts


@never_cache
@login_required
@require_GET
def prompt_history(request: SignedInRequest) -> JsonResponse:
    """A page of the visitor's past prompts, newest first: `q` holds words to look for, `before`
    comes from the page in front."""
    page = list_past_prompts(
        owner=request.user,
        words=request.GET.get("q", ""),
        before=request.GET.get("before", ""),
    )
    prompts = [
        {"prompt": one.prompt, "negative_prompt": one.negative_prompt, "at": one.at.isoformat()}
        for one in page.prompts
    ]
    return JsonResponse({"prompts": prompts, "before": page.before})
