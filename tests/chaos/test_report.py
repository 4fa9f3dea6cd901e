"""The tables that a run writes."""

from tests.chaos.oracle import Counts, Violation
from tests.chaos.report import Outcome, Part, page, shortened, summary, table, write_page

LOST = Violation("lost_image", "image 1 was promised and is not there")


def part() -> Part:
    """One with three faults, of which one lost an image and one never drew again."""
    return Part(
        "tmpfs",
        storage="files",
        seconds=120.0,
        outcomes=[
            Outcome("kill_web", 1.0, "", away_s=2.0, page_s=1.0, image_s=3.0),
            Outcome("kill_web", 9.0, "", away_s=4.0, page_s=2.0, image_s=None, violations=[LOST]),
            Outcome("flushall", 5.0, "", away_s=0.0, page_s=0.5, image_s=1.5),
        ],
        counts=Counts(asked=10, stored=7, released=2),
        requests=99,
        violations=[LOST, Violation("charged_twice", "image 2 was charged 2 times")],
    )


def test_each_kind_is_a_line_with_median_and_most() -> None:
    lines = table([part()]).splitlines()[2:]
    assert lines == [
        "| `flushall` | 1 | 0.0 (0.0) | 0.5 (0.5) | 1.5 (1.5) | 0 |",
        "| `kill_web` | 2 | 3.0 (4.0) | 1.5 (2.0) | 3.0 (3.0), 1 never | 1 |",
    ]


def test_a_part_counts_each_violation_once() -> None:
    (line,) = summary([part()]).splitlines()[2:]
    assert line == "| files | 2 | 3 | 99 | 10 | 7 | 2 | 1 | 1 | 0 | 2 |"


def test_a_long_list_of_one_violation_is_shortened() -> None:
    many = [Violation("orphan", f"{n}.png belongs to nothing") for n in range(9)]
    assert shortened([*many, LOST])[3:] == [
        "VIOLATION orphan: and 6 more",
        f"VIOLATION {LOST}",
    ]


def test_a_new_run_takes_the_place_of_the_last_one_in_the_document() -> None:
    run = page([part()], seed=3, command="make chaos SEED=3", commit="abc", date="2026-01-01")
    first = write_page(run, before="# Chaos\n")
    second = write_page("\nanother run\n", before=f"{first}\n## After\n")
    assert "seed 3" in first
    assert second.startswith("# Chaos\n")
    assert second.endswith("## After\n")
    assert "another run" in second
    assert "seed 3" not in second
