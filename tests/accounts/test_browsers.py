"""Browsers tell their name among many others."""

import pytest

from webapp.accounts.browsers import Browser, read_browser

MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15"


@pytest.mark.parametrize(
    ("user_agent", "name", "system"),
    [
        (f"{MAC} Version/18.1 Safari/605.1.15", "Safari", "Mac"),
        (f"{WINDOWS} Chrome/140.0.0.0 Safari/537.36", "Chrome", "Windows"),
        (f"{WINDOWS} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "Edge", "Windows"),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox",
            "Linux",
        ),
        (f"{PHONE} CriOS/140.0.0.0 Mobile/15E148 Safari/604.1", "Chrome", "iPhone"),
        (
            "Mozilla/5.0 (Linux; Android 14; SM-S921B) SamsungBrowser/26.0 Chrome/122.0",
            "Samsung Internet",
            "Android",
        ),
        ("curl/8.9.1", "", ""),
        ("", "", ""),
    ],
)
def test_a_browser_is_known_by_name_and_system(user_agent: str, name: str, system: str) -> None:
    assert read_browser(user_agent) == Browser(name, system)
