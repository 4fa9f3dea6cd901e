"""The addresses of finished images and of what people make of them."""

from django.urls import path

from webapp.gallery import (
    bulk_views,
    collection_views,
    development_views,
    file_views,
    image_views,
    sharing_views,
    wall_views,
)

urlpatterns = [
    path("gallery/", wall_views.gallery, name="gallery"),
    path("gallery/favourites/", bulk_views.mark_favourites, name="mark_favourites"),
    path("gallery/bin/", bulk_views.bin_images, name="bin_images"),
    path("gallery/bin/undo/", bulk_views.undo_binning, name="undo_binning"),
    path("gallery/bin/restoration/", bulk_views.restore_images, name="restore_images"),
    path("gallery/bin/deletion/", bulk_views.delete_binned, name="delete_binned"),
    path("gallery/collecting/", bulk_views.collect_images, name="collect_images"),
    path("gallery/uncollecting/", bulk_views.uncollect_images, name="uncollect_images"),
    path("gallery/archive/", file_views.archive, name="archive"),
    path("collections/", collection_views.collections, name="collections"),
    path(
        "collections/<uuid:collection_id>/name/",
        collection_views.rename_collection,
        name="rename_collection",
    ),
    path(
        "collections/<uuid:collection_id>/deletion/",
        collection_views.delete_collection,
        name="delete_collection",
    ),
    path("images/<uuid:image_id>/", image_views.image, name="image"),
    path("images/<uuid:image_id>/file/", file_views.image_file, name="image_file"),
    path("images/<uuid:image_id>/thumbnail/", file_views.image_thumbnail, name="image_thumbnail"),
    path("images/<uuid:image_id>/strip/", file_views.image_strip, name="image_strip"),
    path("images/<uuid:image_id>/download/", file_views.image_download, name="image_download"),
    path("images/<uuid:image_id>/deletion/", image_views.delete_image, name="delete_image"),
    path("images/<uuid:image_id>/share/", sharing_views.share, name="share"),
    path("images/<uuid:image_id>/share/revocation/", sharing_views.revoke, name="revoke_share"),
    path("s/<str:token>/", sharing_views.shared, name="shared"),
    path("s/<str:token>/file/", sharing_views.shared_file, name="shared_file"),
    path("development/", development_views.development, name="development"),
    path("development/strip/", development_views.development_strip, name="development_strip"),
    path(
        "development/noising/",
        development_views.development_noising,
        name="development_noising",
    ),
]
