"""What people type into the search, as PostgreSQL asks for it.

The column that is searched, and how the words of a prompt are cut, stand in
`migrations/generation/0007_search_folding.py`; a query is cut in the same way.
"""

import re
import unicodedata

# Chinese and Japanese are written without spaces: each character is a word there.
ONE_BY_ONE = re.compile("([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])")
# Korean particles follow their word: "사과" finds "사과의" wherever it stands in the query.
HANGUL = re.compile("[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]$")
# Letters, numbers, and the marks that belong to a letter; all else stands between words.
WORD_CATEGORIES = frozenset("LNM")


# What nobody sees, such as soft hyphens and joiners (Unicode's Default_Ignorable_Code_Point): it
# comes along with what is pasted, and is no part of a word.
UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)


def fold(text: str) -> str:
    """The text as words are compared: compatible forms made one, what nobody sees left out, and
    folded in full ("ß" is "ss", a final sigma is a sigma)."""
    seen = UNSEEN.sub("", unicodedata.normalize("NFKC", text))
    return unicodedata.normalize("NFKC", seen.casefold())


def write_tsquery(text: str) -> str:
    """All words of the text, the last one (and every Korean one) also as the beginning of a word;
    "" if there is no word in it. Only letters, numbers and marks come from the text."""
    words = _cut(fold(text))
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
