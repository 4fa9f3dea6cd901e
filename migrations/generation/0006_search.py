"""Every request carries what its pictures are found by: the words of its prompt, and the owner,
model, style, mode and shape as lexemes with a colon, which no word of a prompt can have.

One GIN index then answers a search of one owner's pictures, however many others there are. Words
are folded (NFKC, lower case) and cut at ASCII punctuation, which PostgreSQL's parser would take
for addresses, file names and numbers; Chinese and Japanese, written without spaces, are cut into
characters and looked for as phrases. `webapp/gallery/searching.py` cuts a query in the same way.

`fastupdate` is off: a search would read the pending list of all that was asked for lately. The
column is PostgreSQL's own affair, so that no query of a request drags it along. The index of the
wall carries the request, so that a search walks it without touching the pictures.
"""

from django.db import migrations, models
from django.db.models import Q

ADD_COLUMN = r"""
ALTER TABLE generation_generation ADD COLUMN search tsvector GENERATED ALWAYS AS (
    array_to_tsvector(ARRAY[
        'owner:' || owner_id::text,
        'model:' || model_id::text,
        'style:' || style::text,
        'mode:' || mode::text,
        'shape:' || CASE
            WHEN width_px > height_px THEN 'landscape'
            WHEN width_px < height_px THEN 'portrait'
            ELSE 'square'
        END
    ]) || to_tsvector('simple', regexp_replace(
        regexp_replace(normalize(prompt, NFKC), '[!-/:-@[-`{-~]+', ' ', 'g'),
        '([\u3040-\u30FF\u3400-\u9FFF\uF900-\uFAFF])', ' \1 ', 'g'
    ))
) STORED
"""


class Migration(migrations.Migration):
    dependencies = [
        ("generation", "0005_image_lists"),
    ]

    operations = [
        migrations.RunSQL(ADD_COLUMN, "ALTER TABLE generation_generation DROP COLUMN search"),
        migrations.RunSQL(
            "CREATE INDEX generation_search ON generation_generation"
            " USING gin (search) WITH (fastupdate = off)",
            "DROP INDEX generation_search",
        ),
        migrations.RemoveIndex(model_name="image", name="image_gallery"),
        migrations.AddIndex(
            model_name="image",
            index=models.Index(
                fields=["owner", "-finished_at", "-id"],
                include=("generation",),
                condition=Q(state="stored", binned_at=None),
                name="image_gallery",
            ),
        ),
    ]
