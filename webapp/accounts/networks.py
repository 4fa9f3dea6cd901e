"""Where a request comes from."""

from django.conf import settings
from django.http import HttpRequest

from webapp.core.addresses import forwarded_address


def client_address(request: HttpRequest) -> str:
    """The visitor's address; X-Forwarded-For counts only behind `DARKROOM_TRUSTED_PROXIES`."""
    direct: str = request.META.get("REMOTE_ADDR", "") or "local"
    return forwarded_address(
        direct=direct,
        forwarded=request.headers.get("X-Forwarded-For", ""),
        trusted_proxies=settings.TRUSTED_PROXIES,
    )
