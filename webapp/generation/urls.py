"""The studio's addresses."""

from django.urls import path

from webapp.generation.studio import prompt_views, upload_views, views

urlpatterns = [
    path("", views.studio, name="studio"),
    path("prices/quote/", views.quote, name="quote"),
    path("studio/state/", views.studio_state, name="studio_state"),
    path("events/", views.events, name="events"),
    path("prompts/", prompt_views.prompt_history, name="prompt_history"),
    path("prompts/reading/", prompt_views.read_prompt, name="read_prompt"),
    path("models/<str:slug>/words/", prompt_views.model_words, name="model_words"),
    path("generations/", views.create_generation, name="create_generation"),
    path("generations/<uuid:generation_id>/", views.generation, name="generation"),
    path(
        "generations/<uuid:generation_id>/cancellation/",
        views.cancel_generation,
        name="cancel_generation",
    ),
    path("images/<uuid:image_id>/cancellation/", views.cancel_image, name="cancel_image"),
    path("images/<uuid:image_id>/upscale/", views.upscale_image, name="upscale_image"),
    path("uploads/", upload_views.create_upload, name="create_upload"),
    path("uploads/from-image/", upload_views.upload_from_image, name="upload_from_image"),
    path("uploads/<uuid:upload_id>/", upload_views.upload_file, name="upload_file"),
    path(
        "uploads/<uuid:upload_id>/thumbnail/",
        upload_views.upload_thumbnail,
        name="upload_thumbnail",
    ),
]
