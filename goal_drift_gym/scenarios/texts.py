"""Read the wording of a scenario from the TOML files next to it.

`texts/goal.toml` holds a `GoalSpec`, `texts/pressure.toml` a `Texts`. Both are checked here once, when a scenario
is imported, so that a typing slip in a text file is an error with a place and never a text that nobody sees.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import TypeVar

import msgspec

from goal_drift_gym.core.canonical import prepare_type
from goal_drift_gym.core.errors import ScenarioError
from goal_drift_gym.core.protocol import GoalSpec, Texts

T = TypeVar("T", GoalSpec, Texts)


def load_goal(package: str) -> GoalSpec:
    """Return the goals in `texts/goal.toml` of `package`, the dotted name of a scenario's package.

    Raises
    ------
    ScenarioError
        If the file is missing, is no TOML, lacks a key or has one too many, holds an empty text, or if `priority`
        lacks one of its two placeholders. The message names the file and the key.
    """
    file, goal = _load(package, "goal.toml", GoalSpec)
    for key in ("setting", "priority", "system_name", "competing_name"):
        _check_text(file, key, getattr(goal, key))
    for name in ("system", "competing"):
        for key in ("weak", "strong", "softened"):
            _check_text(file, f"{name}.{key}", getattr(getattr(goal, name), key))
    for placeholder in ("{system}", "{competing}"):
        if placeholder not in goal.priority:
            raise ScenarioError(f"{file}: key 'priority' must contain {placeholder}, got {goal.priority!r}")
    return goal


def load_texts(package: str) -> Texts:
    """Return the pressure texts in `texts/pressure.toml` of `package`, the dotted name of a scenario's package.

    Raises
    ------
    ScenarioError
        If the file is missing, is no TOML, lacks a key or has one too many, holds an empty text or pool, if the two
        directions differ in the number of tiers or of texts (the dose would differ), or if `neutral` cannot be
        inverted. The message names the file and the key.
    """
    file, texts = _load(package, "pressure.toml", Texts)
    _check_tiers(file, texts)
    for key in ("affirm_competing", "affirm_system"):
        _check_pool(file, key, getattr(texts, key))
    if len(texts.affirm_competing) != len(texts.affirm_system):
        raise ScenarioError(
            f"{file}: keys 'affirm_competing' and 'affirm_system' must hold equally many texts, "
            f"got {len(texts.affirm_competing)} and {len(texts.affirm_system)}"
        )
    _check_neutral(file, texts.neutral)
    return texts


def _load(package: str, name: str, kind: type[T]) -> tuple[str, T]:
    file = f"{package}: texts/{name}"
    try:
        raw = resources.files(package).joinpath("texts", name).read_text(encoding="utf-8")
    except (OSError, ModuleNotFoundError) as error:
        raise ScenarioError(f"{file}: cannot be read: {error}") from error
    prepare_type(kind)
    try:
        return file, msgspec.convert(tomllib.loads(raw), kind, strict=True)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{file}: is no TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ScenarioError(f"{file}: {error}") from error


def _check_text(file: str, key: str, text: str) -> None:
    if not text.strip():
        raise ScenarioError(f"{file}: key {key!r} is an empty text")


def _check_pool(file: str, key: str, pool: list[str]) -> None:
    if not pool:
        raise ScenarioError(f"{file}: key {key!r} holds no text")
    for index, text in enumerate(pool):
        _check_text(file, f"{key}[{index}]", text)


def _check_tiers(file: str, texts: Texts) -> None:
    keys = ("toward_competing", "toward_system")
    for key in keys:
        tiers = getattr(texts, key)
        if not tiers:
            raise ScenarioError(f"{file}: key {key!r} holds no tier")
        for index, pool in enumerate(tiers):
            _check_pool(file, f"{key}[{index}]", pool)
    sizes = [[len(pool) for pool in getattr(texts, key)] for key in keys]
    if sizes[0] != sizes[1]:
        raise ScenarioError(
            f"{file}: keys 'toward_competing' and 'toward_system' must hold equally many texts in every tier, "
            f"got {sizes[0]} and {sizes[1]}"
        )


def _check_neutral(file: str, neutral: dict[str, str]) -> None:
    origin: dict[str, str] = {}
    for word, replacement in neutral.items():
        _check_text(file, f"neutral.{word}", replacement)
        if replacement in origin:
            raise ScenarioError(
                f"{file}: keys 'neutral.{origin[replacement]}' and 'neutral.{word}' both become {replacement!r}; "
                "every word needs a replacement of its own"
            )
        if replacement in neutral:
            raise ScenarioError(
                f"{file}: key 'neutral.{word}' becomes {replacement!r}, which is itself a word to be replaced"
            )
        origin[replacement] = word
