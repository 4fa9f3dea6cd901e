"""The admin site's own content security policy.

Its theme (django-unfold) is built on Alpine.js, which compiles the expressions of its attributes
with `Function`, and on inline `style` elements. Both are allowed below the admin site alone, which
only administrators are let into; inline scripts stay forbidden there too.
"""

from collections.abc import Callable

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

ADMIN_SITE = {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}


class AdminSitePolicy:
    """Stands after `csp.middleware.CSPMiddleware`, which writes the header."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The response, marked for the other policy if it is the admin site's."""
        response = self.get_response(request)
        if request.path.startswith(reverse("admin:index")):
            response._csp_replace = ADMIN_SITE  # type: ignore[attr-defined]
        return response
