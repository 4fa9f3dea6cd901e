"""Children that decode: whose turn it is, and what one can take of memory and time."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from webapp.pixels.decoders import BusyError, Child, Decoders, RefusedImageError

START = {"task": "clean", "kind": "start"}
PROJECT = Path(__file__).resolve().parents[2]


def png(side_px: int = 64, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.new(mode, (side_px, side_px)).save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    """Two children, four places to wait in, and little patience."""
    made = Decoders(count=2, memory_mb=640, time_s=20, wait_s=0.3, waiting_most=4)
    yield made
    made.end()


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child(memory_mb=640, time_s=20)
    yield made
    made.end()


def test_a_child_answers_one_task_after_the_other(child: Child) -> None:
    facts, (body, thumbnail) = child.ask(START, [png()])
    assert facts == {"width_px": 64, "height_px": 64}
    assert [Image.open(io.BytesIO(one)).format for one in (body, thumbnail)] == ["PNG", "WEBP"]
    assert child.process is not None
    first = child.process.pid
    _facts, (jpeg,) = child.ask(
        {"task": "encode", "name": "jpeg", "with_metadata": False}, [iter([body[:9], body[9:]])]
    )
    assert Image.open(io.BytesIO(jpeg)).format == "JPEG"
    assert child.process.pid == first


@pytest.mark.parametrize(("content", "code"), [(b"", "unreadable"), (b"text", "unreadable")])
def test_its_refusal_has_a_code_and_it_lives_on(child: Child, content: bytes, code: str) -> None:
    with pytest.raises(RefusedImageError, match=code):
        child.ask(START, [content])
    assert child.process is not None
    assert child.process.poll() is None


def test_it_has_no_more_memory_than_it_was_given() -> None:
    small = Child(memory_mb=160, time_s=20)
    try:
        with pytest.raises(RefusedImageError, match="too_many_pixels"):
            small.ask(START, [png(5000, "1")])
        assert small.ask(START, [png()])[0]["width_px"] == 64
    finally:
        small.end()


def test_one_that_takes_too_long_is_ended_and_the_next_task_has_another(child: Child) -> None:
    child.ask(START, [png()])
    assert child.process is not None
    stopped = child.process
    os.kill(stopped.pid, signal.SIGSTOP)
    child.time_s = 0.2
    with pytest.raises(RefusedImageError, match="too_slow"):
        child.ask(START, [png()])
    assert stopped.poll() is not None
    child.time_s = 20
    assert child.ask(START, [png()])[0]["width_px"] == 64


def test_one_that_was_killed_is_started_again(child: Child) -> None:
    child.ask(START, [png()])
    assert child.process is not None
    child.process.kill()
    child.process.wait(5)
    assert child.ask(START, [png()])[0]["width_px"] == 64


def test_a_file_that_breaks_off_while_it_is_sent_leaves_no_half_task_behind(child: Child) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"\x89PNG"
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        child.ask(START, [pieces()])
    assert child.ask(START, [png()])[0]["width_px"] == 64


def test_one_image_at_a_time_for_each_user_and_few_in_all(decoders: Decoders) -> None:
    with decoders.turn("alice"):
        with pytest.raises(BusyError) as busy, decoders.turn("alice"):
            pass
        assert busy.value.is_own
        with decoders.turn("bob"), pytest.raises(BusyError) as busy, decoders.turn("charlie"):
            pass
        assert not busy.value.is_own
    with decoders.turn("alice"), decoders.turn("charlie"):
        pass


def test_whoever_waits_gets_the_turn_that_comes_free(decoders: Decoders) -> None:
    decoders.wait_s = 20
    got: list[str] = []

    def work() -> None:
        with decoders.turn("alice"):
            got.append("alice")

    with decoders.turn("alice"):
        waiting = threading.Thread(target=work)
        waiting.start()
        time.sleep(0.1)
        assert got == []
    waiting.join(10)
    assert got == ["alice"]


def test_a_full_waiting_room_is_said_at_once_and_nobody_fills_it_alone(decoders: Decoders) -> None:
    decoders.wait_s = 20
    release = threading.Event()

    def hold(owner: str) -> None:
        with decoders.turn(owner):
            release.wait(20)

    owners = ["a", "b", "a", "a", "b", "b"]
    threads = [threading.Thread(target=hold, args=[owner]) for owner in owners]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    began = time.monotonic()
    for owner, is_own in (("a", True), ("c", False)):
        with pytest.raises(BusyError) as busy, decoders.turn(owner):
            pass
        assert busy.value.is_own == is_own
    assert time.monotonic() - began < 5
    release.set()
    for thread in threads:
        thread.join(20)


def test_a_turn_that_ends_in_an_error_is_given_back(decoders: Decoders) -> None:
    for _time in range(3):
        with pytest.raises(RefusedImageError), decoders.turn("alice") as child:
            child.ask(START, [b"text"])


def test_children_end_with_the_process_that_started_them() -> None:
    script = (
        "import io, os, signal, sys\n"
        "from webapp.pixels.decoders import Child\n"
        "child = Child(memory_mb=640, time_s=20)\n"
        "try: child.ask({'task': 'clean', 'kind': 'start'}, [b'text'])\n"
        "except Exception: pass\n"
        "print(child.process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        check=False,
        timeout=300,
    )
    process = Path("/proc") / done.stdout.decode().strip()
    end = time.monotonic() + 10
    while process.exists() and time.monotonic() < end:
        if "State:\tZ" in (process / "status").read_text():
            break
        time.sleep(0.05)
    assert time.monotonic() < end


def test_a_child_has_nothing_of_the_studios() -> None:
    script = "import sys, webapp.pixels.child; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, check=True, timeout=300
    )
    heavy = {"django", "psycopg", "redis", "celery", "numpy", "torch", "webapp.settings"}
    assert not heavy & set(done.stdout.decode().split())
