"""The addresses of finished images and of what people make of them."""

from django.urls import path

from webapp.gallery import (
    archive,
    bulk_views,
    collection_views,
    development_page,
    image_page,
    media,
    sharing_views,
    views,
    wall,
)

urlpatterns = [
    path("gallery/", wall.gallery, name="gallery"),
    path("gallery/favourites/", bulk_views.mark_favourites, name="mark_favourites"),
    path("gallery/bin/", bulk_views.bin_images, name="bin_images"),
    path("gallery/bin/undo/", bulk_views.undo_binning, name="undo_binning"),
    path("gallery/bin/restoration/", bulk_views.restore_images, name="restore_images"),
    path("gallery/bin/deletion/", bulk_views.delete_binned, name="delete_binned"),
    path("gallery/collecting/", bulk_views.collect_images, name="collect_images"),
    path("gallery/uncollecting/", bulk_views.uncollect_images, name="uncollect_images"),
    path("gallery/archive/", archive.archive, name="archive"),
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
    path("images/<uuid:image_id>/", image_page.image, name="image"),
    path("images/<uuid:image_id>/file/", media.image_file, name="image_file"),
    path("images/<uuid:image_id>/thumbnail/", media.image_thumbnail, name="image_thumbnail"),
    path("images/<uuid:image_id>/strip/", media.image_strip, name="image_strip"),
    path("images/<uuid:image_id>/download/", media.image_download, name="image_download"),
    path("images/<uuid:image_id>/deletion/", views.delete_image, name="delete_image"),
    path("images/<uuid:image_id>/share/", sharing_views.share, name="share"),
    path("images/<uuid:image_id>/share/revocation/", sharing_views.revoke, name="revoke_share"),
    path("s/<str:token>/", sharing_views.shared, name="shared"),
    path("s/<str:token>/file/", sharing_views.shared_file, name="shared_file"),
    path("development/", development_page.development, name="development"),
    path("development/strip/", development_page.development_strip, name="development_strip"),
    path(
        "development/noising/",
        development_page.development_noising,
        name="development_noising",
    ),
]
