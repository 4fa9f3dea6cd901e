"""Korean particles that change with the word before them: 고양이가, but 곰이."""

import unicodedata

# After a syllable that ends in a consonant, and after one that ends in a vowel.
PAIRS = (("이", "가"), ("은", "는"), ("을", "를"), ("과", "와"), ("으로", "로"), ("이랑", "랑"))
FIRST_SYLLABLE, LAST_SYLLABLE = "가", "힣"
SYLLABLES_OF_A_VOWEL, CLOSED_BY_L = 28, 8


def join_ending(word: str, ending: str) -> str:
    """The word with the ending that hung on another one, in the form that suits it."""
    last = unicodedata.normalize("NFC", word)[-1]
    if not FIRST_SYLLABLE <= last <= LAST_SYLLABLE:
        return word + ending
    closing = (ord(last) - ord(FIRST_SYLLABLE)) % SYLLABLES_OF_A_VOWEL
    for closed, opened in PAIRS:
        if ending in {closed, opened}:
            # 길로, 서울로: an L takes the short form of this one alone.
            is_closed = closing != 0 and not (opened == "로" and closing == CLOSED_BY_L)
            return word + (closed if is_closed else opened)
    return word + ending
