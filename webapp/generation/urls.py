"""The studio's addresses."""

from django.urls import path

from webapp.generation import prompt_views, views

urlpatterns = [
    path("", views.studio, name="studio"),
    path("studio/state/", views.studio_state, name="studio_state"),
    path("events/", views.events, name="events"),
    path("prompts/", prompt_views.prompt_history, name="prompt_history"),
    path("generations/", views.create_generation, name="create_generation"),
    path("generations/<uuid:generation_id>/", views.generation, name="generation"),
    path(
        "generations/<uuid:generation_id>/cancellation/",
        views.cancel_generation,
        name="cancel_generation",
    ),
    path("images/<uuid:image_id>/cancellation/", views.cancel_image, name="cancel_image"),
]
