"""How many files a process may have open."""

import resource
import subprocess
import sys

import pytest

ASK = """
import resource, sys
low = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (low, int(sys.argv[2])))
{raise_it}
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""
BY_HAND = "from webapp.core.files import allow_open_files; allow_open_files()"


def limits_after(raise_it: str, soft: int, hard: int) -> list[int]:
    """(soft, hard) of a process that began with other ones."""
    words = [sys.executable, "-c", ASK.format(raise_it=raise_it), str(soft), str(hard)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [(256, 512, 512), (256, 12_000, 10_240), (11_000, 12_000, 11_000)],
)
def test_the_limit_is_raised_as_far_as_it_may_be_and_never_lowered(
    soft: int, hard: int, after: int
) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip(f"this system does not allow {hard} files")
    assert limits_after(BY_HAND, soft, hard) == [after, hard]


def test_the_web_server_raises_it_before_the_first_page_is_opened() -> None:
    assert limits_after("import webapp.asgi", 256, 600) == [600, 600]
