"""What a run found, as a table: for the terminal, and for `docs/chaos.md`."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.chaos.oracle import LOST, WRONGLY_CHARGED, Counts, Violation

SHOWN = 3
HEAD = (
    "| Fault | Times | Pages away, s: median (most) | First good page, s | First new image, s |"
    " Violations |\n|---|---:|---:|---:|---:|---:|"
)


@dataclass(slots=True)
class Outcome:
    """One fault, and what followed; seconds count from its end. None: it did not come."""

    kind: str
    begun_s: float
    did: str
    away_s: float = 0.0
    page_s: float | None = None
    image_s: float | None = None
    violations: list[Violation] = field(default_factory=list)


@dataclass(slots=True)
class Part:
    """One stack of a run: its storage, its faults, its people's images."""

    how: str
    storage: str = ""
    seconds: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    orphans: int = 0  # swept by the studio at the end
    requests: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    @property
    def all_violations(self) -> list[Violation]:
        """Those of each fault and those of the end, each once."""
        found = [one for outcome in self.outcomes for one in outcome.violations]
        return list(dict.fromkeys([*found, *self.violations]))


def table(parts: Sequence[Part]) -> str:
    """The faults by kind."""
    outcomes = [outcome for part in parts for outcome in part.outcomes]
    kinds = dict.fromkeys(sorted(one.kind for one in outcomes))
    lines = [_line(kind, [one for one in outcomes if one.kind == kind]) for kind in kinds]
    return "\n".join([HEAD, *lines])


def summary(parts: Sequence[Part]) -> str:
    """What became of the images, a line for each part of the run."""
    head = (
        "| Storage | Minutes | Faults | Requests | Images asked | Stored | Released | Lost |"
        " Wrongly charged | Orphans swept | Violations |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    return "\n".join([head, *(_summary_line(part) for part in parts)])


def page(parts: Sequence[Part], *, seed: int, command: str, commit: str, date: str) -> str:
    """The section of `docs/chaos.md` that a run writes."""
    found = shortened([one for part in parts for one in part.all_violations])
    violations = "\n".join(f"- {one}" for one in found) or "None."
    hows = "; ".join(f"{part.storage}: {part.how}" for part in parts)
    return f"""`{command}`, seed {seed}, commit {commit}, {date}. Storage: {hows}.

{summary(parts)}

{table(parts)}

Violations: {violations if not found else chr(10) + chr(10) + violations}
"""


def shortened(violations: Sequence[Violation]) -> list[str]:
    """A line for each, and after three of a name only how many more there are."""
    lines = []
    for name in dict.fromkeys(one.name for one in violations):
        mine = [one for one in violations if one.name == name]
        lines += [f"VIOLATION {one}" for one in mine[:SHOWN]]
        if len(mine) > SHOWN:
            lines.append(f"VIOLATION {name}: and {len(mine) - SHOWN} more")
    return lines


def _line(kind: str, outcomes: Sequence[Outcome]) -> str:
    cells = [
        f"`{kind}`",
        str(len(outcomes)),
        _spread(one.away_s for one in outcomes),
        _spread(one.page_s for one in outcomes),
        _spread(one.image_s for one in outcomes),
        str(sum(len(one.violations) for one in outcomes)),
    ]
    return f"| {' | '.join(cells)} |"


def _spread(values: Iterable[float | None]) -> str:
    given = list(values)
    known = [one for one in given if one is not None]
    if not known:
        return "never"
    never = f", {len(given) - len(known)} never" if len(known) < len(given) else ""
    return f"{statistics.median(known):.1f} ({max(known):.1f}){never}"


def _summary_line(part: Part) -> str:
    counts, found = part.counts, part.all_violations
    cells = [
        part.storage,
        f"{part.seconds / 60:.0f}",
        str(len(part.outcomes)),
        str(part.requests),
        str(counts.asked),
        str(counts.stored),
        str(counts.released),
        str(sum(one.name in LOST for one in found)),
        str(sum(one.name in WRONGLY_CHARGED for one in found)),
        str(part.orphans),
        str(len(found)),
    ]
    return f"| {' | '.join(cells)} |"


def write_page(text: str, *, before: str) -> str:
    """The whole document with this run's section in the place of the last one's."""
    begin, end = "<!-- the run -->", "<!-- end of the run -->"
    if begin not in before:
        return f"{before.rstrip()}\n\n{begin}\n{text}{end}\n"
    head, _, rest = before.partition(begin)
    return f"{head}{begin}\n{text}{end}{rest.partition(end)[2]}"
