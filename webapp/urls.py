"""All URLs: each room brings its own."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("", include("webapp.generation.urls")),
    path("", include("webapp.gallery.urls")),
    path("", include("webapp.statements.urls")),
    path("", include("webapp.credits.urls")),
    path("", include("webapp.catalog.urls")),
    path("", include("webapp.accounts.urls")),
    path("", include("webapp.operations.urls")),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "webapp.core.views.bad_request"
handler403 = "webapp.core.views.permission_denied"
handler404 = "webapp.core.views.page_not_found"
handler429 = "webapp.core.views.too_many"
handler500 = "webapp.core.views.server_error"
