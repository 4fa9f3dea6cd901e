"""The look of the admin site, for django-unfold."""

from typing import Any, Final

UNFOLD: Final[dict[str, Any]] = {
    "SITE_TITLE": "Darkroom",
    "SITE_HEADER": "Darkroom",
    "SITE_URL": "/",
    "SITE_ICON": "webapp.operations.admin.navigation.icon_url",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": "webapp.operations.admin.navigation.icon_url",
        }
    ],
    "DASHBOARD_CALLBACK": "webapp.operations.admin.dashboard.dashboard",
    "SIDEBAR": {
        "show_search": False,
        "navigation": "webapp.operations.admin.navigation.list_rooms",
    },
    "STYLES": [
        "webapp.operations.admin.navigation.charts_css",
        "webapp.operations.admin.navigation.admin_css",
    ],
    "SHOW_HISTORY": False,
    "SHOW_BACK_BUTTON": True,
    "BORDER_RADIUS": "8px",
    # The studio's warm greys and its safelight, from static/css/tokens.css.
    "COLORS": {
        "base": {
            "50": "#f7f4f0",
            "100": "#f0ebe5",
            "200": "#e2dad2",
            "300": "#c9bfb5",
            "400": "#aba29a",
            "500": "#6f665e",
            "600": "#4d463f",
            "700": "#46403c",
            "800": "#322e2b",
            "900": "#1a1816",
            "950": "#131110",
        },
        "primary": {
            "50": "#fdeee8",
            "100": "#fbdccf",
            "200": "#f7bba6",
            "300": "#ff9a7d",
            "400": "#ff8163",
            "500": "#ff6a45",
            "600": "#c43a17",
            "700": "#a93010",
            "800": "#84260d",
            "900": "#5c1c0b",
            "950": "#3a1e15",
        },
    },
}
