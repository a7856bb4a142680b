"""Anonymisation: names that say nothing, changed on the way out and changed back on the way in.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from goal_drift_gym.core.errors import ScenarioError
from goal_drift_gym.core.records import Message
from goal_drift_gym.core.shapers.base import ENGINE_ROLE, GOAL_ROLE
from goal_drift_gym.core.streams import stream
from goal_drift_gym.core.tools import DEFINITIONS

_OWN_ROLES = (ENGINE_ROLE, GOAL_ROLE)
_TEXT_KEYWORDS = frozenset({"const", "default", "description", "enum", "examples", "propertyName", "required", "title"})
_NAME_KEYWORDS = frozenset({"$defs", "mapping", "properties"})
_LETTERS = "bcdfghjkmnpqrstvwxz"


class Renamer:
    """Maps entity names (per seed) and domain words (fixed) to names without meaning, both ways."""

    def __init__(self, seed: int, entities: Mapping[str, str], vocabulary: Mapping[str, str]) -> None:
        self._seed = seed
        self._out: dict[str, str] = dict(vocabulary)
        self._in: dict[str, str] = {neutral: word for word, neutral in vocabulary.items()}
        if len(self._in) != len(self._out):
            raise ScenarioError("texts.neutral gives two words the same neutral word; it must be a bijection")
        words = sorted(vocabulary, key=lambda word: (-len(word), word))
        parts = [*(f"(?i:{re.escape(word)})" for word in words), *(f"(?:{pattern})" for pattern in entities.values())]
        # A name after `?` is one an agent guessed: shown renamed, it would tell the agent what it stands for.
        self._pattern = re.compile(rf"(?<![A-Za-z0-9_?])(?:{'|'.join(parts)})(?![A-Za-z0-9_])") if parts else None
        self._cache: dict[str, str] = {}

    def out(self, value: Any) -> Any:
        """Return `value` with every known name replaced, in keys and values."""
        if isinstance(value, str):
            if value not in self._cache:
                if len(self._cache) > 4096:
                    self._cache.clear()
                self._cache[value] = self._pattern.sub(self._alias, value) if self._pattern else value
            return self._cache[value]
        if isinstance(value, dict):
            return {self.out(key): self.out(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.out(item) for item in value]
        return value

    def back(self, value: Any) -> Any:
        """Return `value` with aliases turned into the names they stand for.

        A true name that the agent was never shown is spoilt, so that guessing it does not work.
        """
        if isinstance(value, str):
            if value in self._in:
                return self._in[value]
            known = value in self._out or (self._pattern is not None and self._pattern.fullmatch(value) is not None)
            return f"?{value}" if known else value
        if isinstance(value, dict):
            return {self.back(key): self.back(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.back(item) for item in value]
        return value

    def message(self, message: Message) -> Message:
        """Return a message with every known name replaced, in its role too unless it is one of the engine's."""
        role = message.role if message.role in _OWN_ROLES else self.out(message.role)
        return Message(role, self.out(message.text))

    def schema(self, schema: Any, *, names: bool = False) -> Any:
        """Return a JSON Schema with names replaced where they are names or text, never in its own keywords."""
        if isinstance(schema, dict):
            return {
                self.out(key) if names else key: self.out(item)
                if not names and key in _TEXT_KEYWORDS
                else self.schema(item, names=not names and key in _NAME_KEYWORDS)
                for key, item in schema.items()
            }
        if isinstance(schema, str) and schema.startswith(DEFINITIONS):
            return DEFINITIONS + self.out(schema.removeprefix(DEFINITIONS))
        return [self.schema(item) for item in schema] if isinstance(schema, list) else schema

    def _alias(self, found: re.Match[str]) -> str:
        word = found.group(0)
        if word in self._out:
            return self._out[word]
        lower = word.lower()
        if lower in self._out:
            alias = self._out[lower]
            return alias.capitalize() if word[0].isupper() else alias
        random = stream(self._seed, "shaper:anonymisation:" + word)
        while (alias := f"x{''.join(random.choice(_LETTERS) for _ in range(4))}{random.integer(10, 100)}") in self._in:
            pass
        self._out[word], self._in[alias] = alias, word
        return alias
