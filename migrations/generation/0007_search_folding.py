"""Words are found however they are written: folded in full (a final sigma is a sigma, "ß" is "ss"),
and without what nobody sees, such as soft hyphens and joiners of no width.

PostgreSQL's own lower case knows one letter for one letter, and `casefold` only from version 18 on.
So `darkroom_fold` replaces the few letters whose folded form is another than their lower case; all
else the text search's parser makes lower itself. Cherokee, whose folded form is upper case, is left
to that parser on both sides. `webapp/gallery/searching.py` folds a query in the same way. The
column is made anew, and with it every row that there is.
"""

import unicodedata

from django.db import migrations

# Unicode's Default_Ignorable_Code_Point, as it stands in `webapp/gallery/searching.py`.
UNSEEN = (
    r"\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F\u202A-\u202E"
    r"\u2060-\u206F\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFF8"
    r"\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF"
)
ONE_FOR_ONE = {"\u0345": "\u03b9", "\u03c2": "\u03c3"} | dict(
    zip("\u1c80\u1c81\u1c82\u1c83\u1c84\u1c85\u1c86\u1c87\u1c88", "вдосттъѣꙋ", strict=True)
)
SEVERAL = [
    letter
    for letter in map(chr, [0xDF, 0x130, 0x1F0, 0x390, 0x3B0, *range(0x1E96, 0x2000)])
    if unicodedata.normalize("NFKC", letter) == letter
    and len(letter.casefold()) > 1
    and (letter.casefold() != letter.lower() or letter == "İ")
]


def write_fold() -> str:
    """The function; its first look spares what most prompts don't need."""
    odd = UNSEEN + "".join([*ONE_FOR_ONE, *SEVERAL])
    pairs = "".join(ONE_FOR_ONE), "".join(ONE_FOR_ONE.values())
    folded = f"regexp_replace($1, '[{UNSEEN}]+', '', 'g')"
    folded = f"translate({folded}, '{pairs[0]}', '{pairs[1]}')"
    for letter in SEVERAL:
        folded = f"replace({folded}, '{letter}', '{letter.casefold()}')"
    return (
        "CREATE FUNCTION darkroom_fold(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT"
        f" PARALLEL SAFE AS $$ SELECT CASE WHEN $1 ~ '[{odd}]'"
        f" THEN normalize({folded}, NFKC) ELSE $1 END $$"
    )


def add_column(prompt: str) -> str:
    return rf"""
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
        regexp_replace({prompt}, '[!-/:-@[-`{{-~]+', ' ', 'g'),
        '([\u3040-\u30FF\u3400-\u9FFF\uF900-\uFAFF])', ' \1 ', 'g'
    ))
) STORED
"""


DROP_COLUMN = "ALTER TABLE generation_generation DROP COLUMN search"
ADD_INDEX = (
    "CREATE INDEX generation_search ON generation_generation"
    " USING gin (search) WITH (fastupdate = off)"
)
BEFORE = add_column("normalize(prompt, NFKC)")


class Migration(migrations.Migration):
    dependencies = [
        ("generation", "0006_search"),
    ]

    operations = [
        migrations.RunSQL(write_fold(), "DROP FUNCTION darkroom_fold(text)"),
        # The index goes with its column.
        migrations.RunSQL(
            [DROP_COLUMN, add_column("darkroom_fold(normalize(prompt, NFKC))"), ADD_INDEX],
            [DROP_COLUMN, BEFORE, ADD_INDEX],
        ),
    ]
