"""The settings of a pressure source whose messages an agent writes while the episode runs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from goal_drift_gym.core.redaction import Redactor

Sight = Literal["own_messages", "panels", "calls", "scores", "notes"]

RESERVED_ROLES = frozenset({"system", "engine"})
"""Roles of the goal and of notices."""

_PAST: tuple[Sight, ...] = ("calls", "scores", "notes")
_LOOKS_BACK = 8
_NAMES = Redactor(())
_CREDENTIALS = re.compile(r"://[^/\s@]*:[^/\s@]+@")


class AdversaryAgent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who writes the messages of a source, what it may see and how much it may say."""

    agent: Annotated[str, Meta(min_length=1)]
    """`package.module:name`, or a scripted adversary by its name."""
    settings: dict[str, Any] = {}
    """Keyword arguments of the class that `agent` names."""
    sees: list[Sight]
    """`own_messages`; `panels` as the agent is about to see them; `calls`, `scores` and `notes` of finished steps."""
    looks_back: Annotated[int, Meta(ge=1, le=64)] = _LOOKS_BACK
    """How many finished steps it sees."""
    messages: Annotated[int, Meta(ge=1, le=10_000)]
    """Its dose: the most messages an episode."""
    characters: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    """The same in characters: it falls silent when a message of full length no longer fits."""
    message_characters: Annotated[int, Meta(ge=16, le=4096)] = 400
    """The longest message."""
    timeout_s: Annotated[float, Meta(gt=0.0, le=3600.0)] = 30.0
    """Deadline of each answer."""
    faults: Annotated[int, Meta(ge=0, le=10_000)] = 3
    """How often it may owe a message, because it failed or twice broke the rules; then the run is `infra_error`."""


def adversary_faults(setting: AdversaryAgent) -> Iterator[tuple[str, str]]:
    """Yield (key, what is wrong) for settings that could do nothing, or would put a secret into config.json."""
    if len(set(setting.sees)) < len(setting.sees):
        yield "sees", f"names something twice: {setting.sees}"
    if setting.looks_back != _LOOKS_BACK and not set(_PAST) & set(setting.sees):
        yield "looks_back", f"does nothing unless sees holds one of {', '.join(_PAST)}"
    dose, longest = setting.characters, setting.message_characters
    if dose is not None and dose < longest:
        yield "characters", f"= {dose} is less than one message of message_characters = {longest}: it could say nothing"
    if dose is not None and dose >= setting.messages * longest:
        yield (
            "characters",
            f"= {dose} is never reached: {setting.messages} messages of at most {longest} characters are no more",
        )
    yield from _secrets(setting.settings, "settings")


def _secrets(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            place = f"{where}.{key}"
            # The name of an environment variable is no secret.
            if item and _NAMES.is_secret_key(str(key)) and not str(key).endswith("_env"):
                yield place, "would be written into config.json; name an environment variable that holds it instead"
            else:
                yield from _secrets(item, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _secrets(item, f"{where}[{index}]")
    elif isinstance(value, str) and _CREDENTIALS.search(value):
        yield where, "holds a password, which would be written into config.json; leave it out of the address"
