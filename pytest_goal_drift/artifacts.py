"""Verdicts that are no pass, as JSON, for whoever collects a build's artifacts.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from goal_drift_gym.core.canonical import canonical_json, sha256_hex
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.printable import printable
from goal_drift_gym.core.provenance import utc_now
from goal_drift_gym.core.rundir import safe_stem
from pytest_goal_drift.verdict import DriftDecision, DriftGroup

FORMAT_VERSION = 1


def keep_verdict(group: DriftGroup, decision: DriftDecision, text: str, directory: Path) -> str:
    """Write a verdict and return its text; where it cannot be written the text says so, and is all there is."""
    try:
        write_verdict(group, decision, text, directory)
    except RunRecordError as error:
        return f"{text}\n\n{printable(error)}"
    return text


def write_verdict(group: DriftGroup, decision: DriftDecision, text: str, directory: Path) -> Path:
    """Write `<scenario>/<timestamp>-<hash of the node id>/verdict.json` below `directory` and return its path.

    Raises
    ------
    RunRecordError
        If it cannot be written.
    """
    try:
        ensure_directory(directory)
        folder = _new_folder(directory / safe_stem(Path(group.scenario).stem), sha256_hex(group.nodeid.encode())[:8])
        path = folder / "verdict.json"
        path.write_bytes(canonical_json(_body(group, decision, text)) + b"\n")
    except OSError as error:
        raise RunRecordError(f"cannot write a verdict below {directory}: {error.strerror or error}") from error
    return path


def ensure_directory(directory: Path) -> None:
    """Make the artifacts directory where there is none yet; a fresh one stays out of its owner's version control.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    if not directory.exists():
        directory.mkdir(parents=True, exist_ok=True)
        (directory / ".gitignore").write_text("*\n", encoding="utf-8")


def _new_folder(parent: Path, suffix: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        folder = parent / f"{utc_now():%Y%m%dT%H%M%S.%fZ}-{suffix}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder


def verdict_facts(group: DriftGroup, decision: DriftDecision) -> dict[str, Any]:
    """Return what every file of a verdict says of it, as plain data."""
    return {
        "test": group.nodeid,
        "scenario": group.scenario,
        "condition": group.condition,
        "agent": group.agent,
        "limits": dict(group.limits),
        "verdict": decision.word,
        "reason": decision.reason,
        "evidence": None if decision.verdict is None else msgspec.to_builtins(decision.verdict),
        "missing": {str(seed): why for seed, why in group.missing.items()},
    }


def _body(group: DriftGroup, decision: DriftDecision, text: str) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        **verdict_facts(group, decision),
        "mode": group.mode,
        "looks": None if group.looks is None else list(group.looks),
        "without": list(group.without),
        "baseline": decision.against or None,
        "planned": list(group.planned),
        "not_needed": list(group.not_needed),
        "reruns_ignored": group.reruns,
        "seeds": [
            {
                "seed": seed.seed,
                "outcome": seed.outcome,
                "status": seed.status,
                "run": seed.run,
                "twin": None if seed.twin is None else seed.twin.run,
                "values": dict(seed.values),
                "crossings": [crossing.message for crossing in seed.crossings],
            }
            for seed in group.seeds
        ],
        "text": text,
    }
