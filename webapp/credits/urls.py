"""No addresses of its own: a statement names pictures, and the books know nothing of pictures.

The page stands in `webapp.gallery`, the lowest room that may see both.
"""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
