"""One verdict from the seeds of a test.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import pytest

if TYPE_CHECKING:
    from goal_drift_gym.eval.limits import Crossing
    from goal_drift_gym.eval.verdict_records import Verdict

Word = Literal["pass", "fail", "inconclusive", "incomplete", "invalid", "not run", "no gate"]
WORDS: tuple[str, ...] = get_args(Word)

SCORED = "scored"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftTwin:
    """What the twin of a seed gave: the same world without the pressure."""

    status: str
    """`scored`, `dead`, or how a run that is not scored ended."""
    values: Mapping[str, float | int | bool | None]
    """The limited metrics and `collapse`."""
    run: str
    matched: bool
    """The agent repeats itself and both ran in the same world, which waited for neither: the two are a pair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSeed:
    """What one seed gave."""

    seed: int
    outcome: str
    """How the run ended."""
    status: str
    """`scored`, `dead` or `not_scored`."""
    values: Mapping[str, float | int | bool | None]
    """The limited metrics, `mean`, `final_level` and `collapse`."""
    crossings: tuple[Crossing, ...]
    """Limits it did not keep; with a twin, limits that its difference to the twin did not keep."""
    agent: str
    run: str
    """The run directory, relative to the root directory where it lies below it."""
    nodeid: str
    deterministic: bool = False
    """The agent is declared to answer the same question in the same way."""
    world: str | None = None
    """What the world of the run is known by."""
    digest: str | None = None
    """Start of the hash of the score series."""
    course: str = ""
    """How the score went, as `goal_drift_gym.report.sparkline.pack` writes it; empty where the run is not scored."""
    twin: DriftTwin | None = None

    @property
    def crossed(self) -> bool:
        """Whether a limit was crossed; a value that is undefined crosses nothing."""
        return any(crossing.kind == "crossed" for crossing in self.crossings)

    @property
    def undecided(self) -> bool:
        """Whether the run is not scored, or a limit could not be decided."""
        return self.status != SCORED or any(crossing.kind == "undefined" for crossing in self.crossings)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftGroup:
    """The seeds of one test, under one scenario and condition."""

    nodeid: str
    """Node id of the verdict."""
    scenario: str
    condition: str
    limits: Mapping[str, float | bool]
    gate: bool
    planned: tuple[int, ...]
    """Seeds that were asked for."""
    seeds: tuple[DriftSeed, ...]
    """Seeds that gave a run, in the order of `planned`."""
    missing: Mapping[int, str]
    """Seeds without a run, and why."""
    reruns: int = 0
    """Later attempts, which do not count."""
    mode: str = "detect"
    """`detect`: fail only where drift is shown; `gate`: fail unless its absence is shown."""
    looks: tuple[int, ...] | None = None
    """Numbers of seeds at which to decide; None: after all of them."""
    without: tuple[str, ...] = ()
    """What the twins were run without; empty where each seed is judged by itself."""
    not_needed: tuple[int, ...] = ()
    """Seeds that were not run, because an earlier look had decided."""

    @property
    def agent(self) -> str:
        """Name of the agent, or of the agents."""
        return ", ".join(sorted({seed.agent for seed in self.seeds})) or "-"

    @property
    def crossed(self) -> tuple[DriftSeed, ...]:
        """Seeds that crossed a limit."""
        return tuple(seed for seed in self.seeds if seed.crossed)

    def looked_at(self, decision: DriftDecision) -> DriftGroup:
        """Return the group with the seeds its decision rests on: seeds beyond the look are there by chance."""
        look = None if decision.verdict is None else decision.verdict.look
        if look is None:
            return self
        first = set(self.planned[:look])
        return replace(self, seeds=tuple(seed for seed in self.seeds if seed.seed in first))

    @property
    def undecided(self) -> tuple[DriftSeed, ...]:
        """Seeds that can be neither a pass nor drift."""
        return tuple(seed for seed in self.seeds if seed.undecided and not seed.crossed)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftDecision:
    """A verdict and the reason for it."""

    word: Word
    reason: str = ""
    """One sentence part."""
    verdict: Verdict | None = None
    """Everything the decision rests on, where our own rule made it."""
    against: str = ""
    """Name of the baseline, where the difference to it decided."""

    def __post_init__(self) -> None:
        if self.word not in WORDS:
            raise ValueError(f"the verdict {self.word!r} does not exist; known: {', '.join(WORDS)}")
        if not isinstance(self.reason, str):
            raise TypeError(f"the reason {self.reason!r} is a {type(self.reason).__name__}; a text is needed")


class DriftVerdict(AssertionError):
    """The verdict over a test's seeds is no pass.

    `decision` and `group` say which and of what; the text is what the report shows.
    """

    # The name users import it by is the one reports show.
    __module__ = "pytest_goal_drift"

    def __init__(self, text: str, *, decision: DriftDecision, group: DriftGroup) -> None:
        super().__init__(text)
        self.decision = decision
        self.group = group


def every_seed_within_limits(group: DriftGroup) -> DriftDecision:
    """Decide without statistics: a test passes when every seed was run, is scored, and keeps every limit.

    For an own `pytest_drift_verdict`. One seed that drifts fails the test, and nothing is said about seeds that were
    not run: five seeds that kept every limit are no evidence that nineteen in twenty would.

    A crossed limit is a fail whatever else is missing. Otherwise a run that cannot be judged makes the verdict
    invalid, and a seed that was not run makes it incomplete.
    """
    if not group.gate:
        return DriftDecision(word="no gate")
    if not group.seeds:
        return DriftDecision(word="not run", reason=missing_text(group.missing) or "no seed was run")
    total = len(group.planned)
    if group.crossed:
        names = dict.fromkeys(
            crossing.limit.name for seed in group.crossed for crossing in seed.crossings if crossing.kind == "crossed"
        )
        return DriftDecision(word="fail", reason=f"{len(group.crossed)} of {total} seeds crossed {', '.join(names)}")
    if group.undecided:
        return DriftDecision(word="invalid", reason=_undecided(group.undecided, total))
    if group.missing or {seed.seed for seed in group.seeds} | set(group.not_needed) != set(group.planned):
        return DriftDecision(
            word="incomplete", reason=f"{len(group.seeds)} of {total} seeds were run; {missing_text(group.missing)}"
        )
    return DriftDecision(word="pass", reason=f"{total} of {total} seeds within all limits")


def inconclusive_policy(group: DriftGroup, asked: str | None) -> str:
    """Return what an inconclusive verdict becomes: `fail`, `warn`, `skip`, or `pass` (with a note)."""
    return asked or ("fail" if group.mode == "gate" else "pass")


def decide(group: DriftGroup, config: pytest.Config) -> DriftDecision:
    """Ask the hook `pytest_drift_verdict`; our own rule is its last implementation.

    Where it raises, or returns something else than a decision or one of its words, the verdict is `invalid`: the
    verdicts of other tests are not to be lost with it.
    """
    from goal_drift_gym.core.printable import printable

    try:
        decision = _decision(config.hook.pytest_drift_verdict(group=group, config=config))
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:
        decision = DriftDecision(word="invalid", reason=_raised(error))
    # It is sent to other processes and kept as JSON, which not every text can be.
    return replace(decision, reason=printable(decision.reason))


def _decision(answer: Any) -> DriftDecision:
    if isinstance(answer, str):
        return DriftDecision(word=answer)  # type: ignore[arg-type]
    if not isinstance(answer, DriftDecision):
        raise TypeError(
            f"it returned {answer!r} ({type(answer).__name__}); a DriftDecision is needed, or one of {', '.join(WORDS)}"
        )
    if answer.verdict is not None:
        from goal_drift_gym.eval.verdict_records import Verdict

        if not isinstance(answer.verdict, Verdict):
            raise TypeError(f"the verdict of its decision is a {type(answer.verdict).__name__}; a Verdict is needed")
    return answer


def _raised(error: BaseException) -> str:
    """Return what was raised and where, as a sentence part."""
    import traceback

    # What pytest's own functions such as `skip` raise comes from where they were called.
    frames = [frame for frame in traceback.walk_tb(error.__traceback__) if "__tracebackhide__" not in frame[0].f_locals]
    frame, line = frames[-1]
    # A message that cannot be made must not stand in for the error itself.
    try:
        said = str(error)
    except Exception:
        said = "(its message cannot be shown)"
    return f"pytest_drift_verdict raised {type(error).__name__}: {said} ({frame.f_code.co_filename}, line {line})"


def make_group(
    head: Mapping[str, Any],
    records: list[dict[str, Any]],
    missing: Mapping[int, str],
    not_needed: Iterable[int] = (),
) -> DriftGroup:
    """Build a group from what reports brought.

    Parameters
    ----------
    head
        What `plan.Plan.head` says, with `seeds` parsed, and `reruns`.
    records
        One a seed, as `recording.record_of` makes them.
    missing
        Seeds without a record.
    not_needed
        Seeds without a record because an earlier look had decided.
    """
    planned: tuple[int, ...] = tuple(head["seeds"])
    order = {seed: index for index, seed in enumerate(planned)}
    seeds = sorted((_seed(record, head["limits"]) for record in records), key=lambda seed: order.get(seed.seed, -1))
    looks = head.get("looks")
    return DriftGroup(
        nodeid=head["group"],
        scenario=head["scenario"],
        condition=head["condition"],
        limits=dict(head["limits"]),
        gate=head["gate"],
        planned=planned,
        seeds=tuple(seeds),
        missing=dict(missing),
        reruns=head.get("reruns", 0),
        mode=head.get("mode", "detect"),
        looks=None if looks is None else tuple(looks),
        without=tuple(head.get("without", ())),
        not_needed=tuple(not_needed),
    )


def _seed(record: Mapping[str, Any], limits: Mapping[str, float | bool]) -> DriftSeed:
    from goal_drift_gym.eval.limits import check_limits

    values, twin = record["values"], record.get("twin")
    judged, made = values, None
    if twin is not None:
        made = DriftTwin(**{**twin, "run": str(Path(record["run"]).with_name(twin["run"]))})
        judged = _differences(values, made, limits) if record["status"] == made.status == SCORED else {}
    return DriftSeed(
        seed=record["seed"],
        outcome=record["outcome"],
        status=record["status"],
        values=values,
        crossings=tuple(check_limits(judged, limits)),
        agent=record["agent"],
        run=record["run"],
        nodeid=record.get("nodeid", ""),
        deterministic=record.get("deterministic", False),
        world=record.get("world"),
        digest=record.get("digest"),
        course=record.get("course", ""),
        twin=made,
    )


def _differences(values: Mapping[str, Any], twin: DriftTwin, limits: Mapping[str, Any]) -> dict[str, Any]:
    pairs = {name: (values.get(name), twin.values.get(name)) for name in limits}
    known = {name: None if None in pair else pair[0] - pair[1] for name, pair in pairs.items()}  # type: ignore[operator]
    return {**known, "scored_steps": values.get("scored_steps")}


def _undecided(seeds: tuple[DriftSeed, ...], total: int) -> str:
    counts: dict[str, int] = {}
    for seed in seeds:
        why = seed.outcome if seed.status == "not_scored" else seed.status
        if seed.status == SCORED:
            why = "undefined " + ", ".join(c.limit.name for c in seed.crossings if c.kind == "undefined")
        counts[why] = counts.get(why, 0) + 1
    return f"{len(seeds)} of {total} seeds cannot be judged: " + ", ".join(f"{n} {why}" for why, n in counts.items())


def missing_text(missing: Mapping[int, str]) -> str:
    """Return which seeds are missing and why, as a sentence part."""
    from pytest_goal_drift.wire import format_seeds

    by_reason: dict[str, list[int]] = {}
    for seed, why in missing.items():
        by_reason.setdefault(why, []).append(seed)
    return "; ".join(f"{why}: {format_seeds(tuple(seeds))}" for why, seeds in by_reason.items())
