"""One browser for a process, in the way of no other test. In this order: each needs the last."""

import asyncio

import pytest

from tests.browser.chromium import running_browser


@pytest.mark.browser
def test_a_browser_is_started_once() -> None:
    assert running_browser() is running_browser()


async def test_no_loop_of_a_browser_runs_beside_an_asynchronous_test() -> None:
    await asyncio.sleep(0)


@pytest.mark.browser
def test_afterwards_it_is_started_again() -> None:
    context = running_browser().new_context()
    assert context.new_page().evaluate("1 + 1") == 2
    context.close()


@pytest.mark.browser
def test_one_that_has_ended_is_replaced() -> None:
    ended = running_browser()
    ended.close()
    assert running_browser() is not ended
    assert running_browser().is_connected()
