"""How a code is written and read: 128 bits in Crockford's base32, which has no I, L, O or U.

A code is the HMAC-SHA256 of its batch and number under a key that is derived from the studio's
secret, so that no table holds it; what the table holds is an HMAC of the code under another key.
"""

import unicodedata
import uuid

from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from webapp.core.errors import InvalidInput

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_BYTES = 16
CODE_LENGTH = 26  # 5 bits each: 130, of which the two highest are zero
PREFIX = "DR"
GROUP = 5
MISREAD = str.maketrans("OIL", "011")
EXAMPLE = "DR-XXXXX-XXXXX-XXXXX-XXXXX-XXXXXX"


def derive_code(*, batch_id: uuid.UUID, number: int) -> str:
    """The 26 characters of a batch's code of that number: the same whenever it is asked."""
    made = salted_hmac("darkroom.codes.text", f"{batch_id}:{number}", algorithm="sha256")
    value = int.from_bytes(made.digest()[:CODE_BYTES], "big")
    shifts = range(5 * (CODE_LENGTH - 1), -1, -5)
    return "".join(ALPHABET[value >> shift & 31] for shift in shifts)


def digest_code(code: str) -> str:
    """What the table holds instead of the code. Codes are looked up by it: how long that takes
    tells of the digest, which nobody can choose, and nothing of the code."""
    return salted_hmac("darkroom.codes.digest", code, algorithm="sha256").hexdigest()


def write_code(code: str) -> str:
    """The code as people see it, in groups: "DR-00000-00000-00000-00000-000000"."""
    ends = range(0, CODE_LENGTH - GROUP, GROUP)
    groups = [code[start : start + GROUP] for start in ends]
    return "-".join([PREFIX, *groups[:-1], groups[-1] + code[CODE_LENGTH - 1 :]])


def read_code(text: str) -> str:
    """The 26 characters of a code that somebody typed: in any case and width, with or without
    spaces, dashes and "DR", O for 0 and I or L for 1. Raises InvalidInput if it is none."""
    typed = unicodedata.normalize("NFKC", text).upper()
    kept = "".join(one for one in typed if unicodedata.category(one) not in {"Zs", "Pd", "Cc"})
    if len(kept) == CODE_LENGTH + len(PREFIX):
        kept = kept.removeprefix(PREFIX)
    code = kept.translate(MISREAD)
    if len(code) != CODE_LENGTH or not set(code) <= set(ALPHABET):
        sentence = _("A code looks like %(example)s. Check it letter by letter.")
        raise InvalidInput(sentence % {"example": EXAMPLE}, field="code")
    return code
