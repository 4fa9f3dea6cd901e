"""The views of prompts: what a model makes of one, the words that it knows, and one's own earlier
ones."""

from django.contrib.auth.decorators import login_required
from django.http import JsonResponse
from django.views.decorators.cache import never_cache

from webapp.accounts.requests import SignedInRequest
from webapp.catalog.selectors import get_offered_model
from webapp.core.methods import require_GET, require_POST
from webapp.core.rates import count_attempt
from webapp.generation.studio.knowledge import tell_prompt, tell_vocabulary
from webapp.generation.studio.prompts import list_past_prompts

# Three a second, for longer than anybody types: a page waits for a pause before it asks.
MOST_ASKED, WINDOW_S = 900, 300


@never_cache
@login_required
@require_POST
def read_prompt(request: SignedInRequest) -> JsonResponse:
    """What the model makes of a prompt that is being written. Sent, not asked for: what somebody
    writes stands in no address, and so in no log. Nothing is kept of it. Raises TooMany after 900
    in five minutes, and InvalidInput for a model that is not on offer or a text that is too
    long."""
    count_attempt(name=f"words:{request.user.pk}", limit=MOST_ASKED, window_s=WINDOW_S)
    data = request.POST
    return JsonResponse(
        tell_prompt(
            model=get_offered_model(slug=data.get("model", ""), user=request.user),
            prompt=data.get("prompt", ""),
            negative_prompt=data.get("negative_prompt", ""),
            mode=data.get("mode", ""),
        )
    )


@never_cache
@login_required
@require_GET
def model_words(request: SignedInRequest, slug: str) -> JsonResponse:
    """Everything that a model knows; raises InvalidInput for one that is not on offer."""
    return JsonResponse(tell_vocabulary(model=get_offered_model(slug=slug, user=request.user)))


@never_cache
@login_required
@require_GET
def prompt_history(request: SignedInRequest) -> JsonResponse:
    """A page of the visitor's past prompts, newest first: `q` holds words to look for, `before`
    comes from the page in front. Raises InvalidInput for either if it will not do."""
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
