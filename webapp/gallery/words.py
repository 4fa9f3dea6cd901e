"""What people type into the search, as PostgreSQL asks for it.

The column that is searched, and how the words of a prompt are cut, stand in
`migrations/generation/0006_search.py`; a query is cut in the same way.
"""

import re
import unicodedata

# Chinese and Japanese are written without spaces: each character is a word there.
ONE_BY_ONE = re.compile("([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
# Korean particles follow their word: "사과" finds "사과의" wherever it stands in the query.
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]$")
# Letters, numbers, and the marks that belong to a letter; all else stands between words.
WORD_CATEGORIES = frozenset("LNM")


def write_tsquery(text: str) -> str:
    """All words of the text, the last one (and every Korean one) also as the beginning of a word;
    "" where there is no word in it. Only letters, numbers and marks come from the text."""
    words = _cut(unicodedata.normalize("NFKC", text))
    last = len(words) - 1
    return " & ".join(_write_word(word, number == last) for number, word in enumerate(words))


def _cut(text: str) -> list[str]:
    kept = (one if unicodedata.category(one)[0] in WORD_CATEGORIES else " " for one in text)
    return "".join(kept).split()


def _write_word(word: str, is_last: bool) -> str:
    parts = ONE_BY_ONE.sub(r" \1 ", word).split()
    ending = ":*" if is_last or HANGUL.search(word) else ""
    phrase = " <-> ".join(f"'{part}'" for part in parts) + ending
    return f"({phrase})" if len(parts) > 1 else phrase
