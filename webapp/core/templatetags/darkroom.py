"""What templates say again and again: amounts, seconds, icons and the names of scripts."""

import functools
import json
from pathlib import Path

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from webapp.core.units import format_credits

register = template.Library()

# Drawn on a 24 x 24 grid, stroked in the text colour.
ICONS: dict[str, str] = {
    "again": "M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5",
    "back": "m14 6-6 6 6 6",
    "bin": "M4 7h16M9 7V4h6v3m3 0-1 13H7L6 7",
    "brush": "M4 20c3 0 5-1 5-4l9-11 2 2-11 9c0 3-2 4-5 4z",
    "check": "m5 12.5 4.5 4.5L19 7.5",
    "coins": "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zm2.6 5.7a3.4 3.4 0 1 0 0 4.6",
    "copy": "M9 9h10v11H9zM15 9V4H5v11h4",
    "cross": "M6 6l12 12M18 6 6 18",
    "dice": "M5 3h14a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zM8.5 8.5h.01"
    "M15.5 15.5h.01M12 12h.01M15.5 8.5h.01M8.5 15.5h.01",
    "down": "m6 9 6 6 6-6",
    "download": "M12 4v11m0 0-4-4m4 4 4-4M4 20h16",
    "eraser": "M9 20h11M6.5 17.5l-2.4-2.4a1.5 1.5 0 0 1 0-2.1L13 4.1a1.5 1.5 0 0 1 2.1 0"
    "l4.8 4.8a1.5 1.5 0 0 1 0 2.1L11 20H9z",
    "folder": "M3.5 6.5h6l2 2.5h9v9.5a1.5 1.5 0 0 1-1.5 1.5H5a1.5 1.5 0 0 1-1.500-1.500z",
    "grid": "M4 4h6.5v6.5H4zM13.5 4H20v6.5h-6.5zM4 13.5h6.5V20H4zM13.5 13.5H20V20h-6.5z",
    "help": "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM9.5 9.5a2.5 2.5 0 0 1 5 0c0 1.7"
    "-2.5 2-2.5 4M12 17h.01",
    "history": "M4 12a8 8 0 1 0 3-6.200M4 5v4h4M12 8v5l3 2",
    "invert": "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16M14.5 8h3.5M14.5 12h5M14.5 16h3.5",
    "layers": "M12 3 3 8l9 5 9-5zM3 12.5l9 5 9-5M3 17l9 5 9-5",
    "minus": "M6 12h12",
    "next": "m10 6 6 6-6 6",
    "image": "M5.5 4h13A1.5 1.5 0 0 1 20 5.5v13a1.5 1.5 0 0 1-1.5 1.5h-13"
    "A1.5 1.5 0 0 1 4 18.5v-13A1.5 1.5 0 0 1 5.5 4zM9 9h.01M4.5 17.5 9.5 12.5l4 4 3-3 3 3",
    "play": "m8 5 11 7-11 7z",
    "plus": "M12 6v12M6 12h12",
    "redo": "M20 9H10a5.5 5.5 0 0 0 0 11h3M20 9l-4.5-4.5M20 9l-4.5 4.5",
    "restore": "M4 10h10a6 6 0 0 1 0 12M4 10l5-5M4 10l5 5",
    "search": "M11 5a6 6 0 1 0 0 12 6 6 0 0 0 0-12zm5 11 4 4",
    "share": "M12 15V4m0 0L8 8m4-4 4 4M5 13v7h14v-7",
    "sliders": "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
    "spark": "M12 3.5l1.900 5.100a2.5 2.5 0 0 0 1.5 1.5l5.100 1.900-5.100 1.900a2.5 2.5 0 0 0-1.5"
    " 1.5L12 20.5l-1.900-5.100a2.5 2.5 0 0 0-1.5-1.5L3.5 12l5.100-1.900a2.5 2.5 0 0 0 1.5-1.5z",
    "star": "m12 4 2.4 5 5.6.7-4.1 3.8 1.1 5.5-5-2.8-5 2.8 1.1-5.5L4 9.7 9.600 9z",
    "undo": "M4 9h10a5.5 5.5 0 0 1 0 11h-3M4 9l4.5-4.5M4 9l4.5 4.5",
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
    """The address that people may write to (`DARKROOM_CONTACT`); "" if there is none."""
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
    """Seconds with one decimal below a hundred, none above; "" if unknown."""
    if duration_s is None:
        return ""
    return f"{duration_s:.1f}" if duration_s < 100 else f"{duration_s:.0f}"


@register.filter
def credits_of(each_ucr: int, count: int) -> str:
    """What `count` images cost together, in credits."""
    return format_credits(each_ucr * count)


@register.simple_tag
def import_map() -> SafeString:
    """What scripts call each other, and under which address each is served: `gallery/wall.js`
    below `static/js` is "darkroom/gallery/wall". Browsers ask for cached files by these names."""
    imports = {f"darkroom/{name}": static(f"js/{name}.js") for name in _script_names()}
    return SafeString(json.dumps({"imports": imports}, separators=(",", ":")))


@functools.cache  # files that come later are seen after a start
def _script_names() -> tuple[str, ...]:
    folder = Path(settings.BASE_DIR, "static/js")
    return tuple(
        sorted(str(one.relative_to(folder).with_suffix("")) for one in folder.rglob("*.js"))
    )
