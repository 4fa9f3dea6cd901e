"""What templates say again and again: amounts of credits, seconds and icons."""

from django import template
from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString

from webapp.core.units import format_credits

register = template.Library()

# Drawn on a 24 x 24 grid, stroked in the text colour.
ICONS: dict[str, str] = {
    "again": "M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5",
    "back": "m14 6-6 6 6 6",
    "bin": "M4 7h16M9 7V4h6v3m3 0-1 13H7L6 7",
    "check": "m5 12.5 4.5 4.5L19 7.5",
    "coins": "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zm2.6 5.7a3.4 3.4 0 1 0 0 4.6",
    "copy": "M9 9h10v11H9zM15 9V4H5v11h4",
    "cross": "M6 6l12 12M18 6 6 18",
    "dice": "M5 3h14a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zM8.5 8.5h.01"
    "M15.5 15.5h.01M12 12h.01M15.5 8.5h.01M8.5 15.5h.01",
    "down": "m6 9 6 6 6-6",
    "download": "M12 4v11m0 0-4-4m4 4 4-4M4 20h16",
    "folder": "M3.5 6.5h6l2 2.5h9v9.5a1.5 1.5 0 0 1-1.5 1.5H5a1.5 1.5 0 0 1-1.500-1.500z",
    "grid": "M4 4h6.5v6.5H4zM13.5 4H20v6.5h-6.5zM4 13.5h6.5V20H4zM13.5 13.5H20V20h-6.5z",
    "next": "m10 6 6 6-6 6",
    "play": "m8 5 11 7-11 7z",
    "restore": "M4 10h10a6 6 0 0 1 0 12M4 10l5-5M4 10l5 5",
    "search": "M11 5a6 6 0 1 0 0 12 6 6 0 0 0 0-12zm5 11 4 4",
    "share": "M12 15V4m0 0L8 8m4-4 4 4M5 13v7h14v-7",
    "sliders": "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
    "spark": "M12 3.5l1.900 5.100a2.5 2.5 0 0 0 1.5 1.5l5.100 1.900-5.100 1.900a2.5 2.5 0 0 0-1.5"
    " 1.5L12 20.5l-1.900-5.100a2.5 2.5 0 0 0-1.5-1.5L3.5 12l5.100-1.900a2.5 2.5 0 0 0 1.5-1.5z",
    "star": "m12 4 2.4 5 5.6.7-4.1 3.8 1.1 5.5-5-2.8-5 2.8 1.1-5.5L4 9.7 9.600 9z",
    "zoom": "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """The icon of that name as an inline drawing, silent to screen readers."""
    return format_html(
        '<svg class="i" viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">'
        '<path d="{}"/></svg>',
        ICONS[name],
    )


@register.simple_tag
def contact() -> str:
    """The address that people may write to (`DARKROOM_CONTACT`); "" where there is none."""
    return str(settings.CONTACT)


@register.filter
def credits(amount_ucr: int) -> str:
    """Micro-credits as a decimal string: 200_000 -> "0.20"."""
    return format_credits(amount_ucr)


@register.filter
def signed_credits(amount_ucr: int) -> str:
    """As `credits`, with a plus or a true minus sign in front."""
    return f"{'−' if amount_ucr < 0 else '+'}{format_credits(abs(amount_ucr))}"


@register.filter
def seconds(duration_s: float | None) -> str:
    """Seconds with one decimal below a hundred, none above; "" where unknown."""
    if duration_s is None:
        return ""
    return f"{duration_s:.1f}" if duration_s < 100 else f"{duration_s:.0f}"
