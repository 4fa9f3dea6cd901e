"""The addresses of finished pictures, and of the statement that links to them."""

from django.urls import path

from webapp.gallery import media, statement, views

urlpatterns = [
    path("gallery/", views.gallery, name="gallery"),
    path("images/<uuid:image_id>/", views.image, name="image"),
    path("images/<uuid:image_id>/file/", media.image_file, name="image_file"),
    path("images/<uuid:image_id>/thumbnail/", media.image_thumbnail, name="image_thumbnail"),
    path("images/<uuid:image_id>/download/", media.image_download, name="image_download"),
    path("images/<uuid:image_id>/deletion/", views.delete_image, name="delete_image"),
    path("credits/", statement.statement, name="credits"),
]
