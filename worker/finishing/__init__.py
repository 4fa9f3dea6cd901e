"""From pixels to files: the text an image carries, encoding and thumbnails. Pillow only."""
