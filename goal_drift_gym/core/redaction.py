"""Keep secrets out of everything that is written.

First by value: of environment variables whose name looks secret, of credentials in URLs in the environment, and of
strings a caller registered; as they are, URL-encoded, and in base64 wherever they stand in it. Then by key, then by
shape: credentials in URLs and headers, and the forms in which well-known services hand out their keys. Only names of
environment variables are ever kept.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote

import msgspec

from goal_drift_gym.core.records import RUN_OUTCOMES, STEP_OUTCOMES

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"(?i)(api[_-]?key|token|secret|passw(or)?d|credential|private[_-]?key|authorization|access[_-]?key)"
)
# Counts such as `input_tokens` look like secrets by name and are none.
_NO_SECRET_NAME = re.compile(r"(?i)(tokens$|^max_|^tokens_)")
_MIN_LENGTH = 8
_PLAIN_KEY = re.compile(r"[a-z_]{1,40}")
_OWN_WORDS = frozenset({*STEP_OUTCOMES, *RUN_OUTCOMES, "observation", "tool_result", "evaluation", "instrumental"})
"""Words of the record format: replaced, a record could not be read any more, and nobody's secret is lost with them."""
_PLAIN_ARGUMENTS, _PLAIN_TEXT, _PLAIN_INTEGER, _PLAIN_KNOWN = 8, 64, 2**53, 4096

_SHAPES = (
    # Credentials in a URL: what stands between the scheme and the host.
    (re.compile(r"(?<=://)[^\s/@:\"']*:[^\s/@\"']+(?=@)"), REDACTED),
    # Headers, as an exception or a dump of a request shows them.
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|x-api-key|api-key|(?:set-)?cookie)([\"']?\s*[:=]\s*[\"']?)"
            r"(?:(?:bearer|basic|token)\s+)?[^\s\"',;}]{6,}"
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"(?i)\b(bearer)\s+(?=\S*\d)[A-Za-z0-9._~+/=-]{16,}"), rf"\1 {REDACTED}"),
    # Keys by the form their issuer gives them.
    (re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"), REDACTED),
    (re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,})"), REDACTED),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), REDACTED),
    (re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"), REDACTED),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"), REDACTED),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"), REDACTED),
)
_TRIGGERS = (
    "://", "uthorization", "UTHORIZATION", "pi-key", "PI-KEY", "earer ", "BEARER ", "ookie", "COOKIE",
    "sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "AKIA", "ASIA", "xox", "eyJ", "PRIVATE KEY",
)  # fmt: skip
"""What a text must hold for one of the shapes to be in it: a cheap look before a dear one."""
_URL_PASSWORD = re.compile(r"://([^\s/@:]*):([^\s/@]+)@")

_registered: list[str] = []


def register_secret(value: str) -> None:
    """Have `value` replaced by `[redacted]` in everything written from now on.

    Raises
    ------
    ValueError
        If it is shorter than 8 characters: replacing it would garble innocent text.
    """
    if len(value) < _MIN_LENGTH:
        raise ValueError(
            f"a secret of {len(value)} characters is too short to be redacted safely (at least {_MIN_LENGTH})"
        )
    if value not in _registered:
        _registered.append(value)


class Redactor:
    """Replaces a fixed set of secret values, longest first."""

    __slots__ = ("_as_bytes", "_plain", "_values", "count")

    def __init__(self, values: Iterable[str]) -> None:
        unique = {
            form
            for value in values
            if len(value) >= _MIN_LENGTH and value not in _OWN_WORDS and value not in REDACTED
            for form in _forms(value)
        }
        self._values = sorted(unique, key=lambda value: (-len(value), value))
        self._as_bytes = [
            json.dumps(value, ensure_ascii=False)[1:-1].encode("utf-8", "replace") for value in self._values
        ]
        self._plain: set[str] = set()
        """Texts that were found plain before."""
        self.count = 0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Redactor:
        """Take the values of all environment variables that look secret, and the registered ones."""
        environ = os.environ if environ is None else environ
        found = [value for name, value in environ.items() if _is_secret_name(name)]
        for value in environ.values():
            if "://" in value and "@" in value:
                found += [unquote(password) for _, password in _URL_PASSWORD.findall(value)]
        return cls([*found, *_registered])

    def text(self, text: str) -> str:
        """Return `text` with every secret replaced, and what has the shape of one."""
        text = self._without_values(text)
        return self._without_shapes(text) if _is_suspect(text) else text

    def _without_values(self, text: str) -> str:
        for value in self._values:
            if value in text:
                self.count += text.count(value)
                text = text.replace(value, REDACTED)
        return text

    def _without_shapes(self, text: str) -> str:
        for shape, instead in _SHAPES:
            text, found = shape.subn(instead, text)
            self.count += found
        return text

    def line(self, data: bytes) -> bytes:
        """Return compact JSON with every secret value in its strings replaced; it stays the JSON it was otherwise.

        Shapes are not looked for: this is done for each step, and what an agent said went through `text` before.
        Numbers and plain lower-case keys are left alone: a secret like `12345678` must not tear a number apart.
        """
        if not any(value in data for value in self._as_bytes):
            return data
        end = b"\n" if data.endswith(b"\n") else b""
        return msgspec.json.encode(self._values_of(msgspec.json.decode(data))) + end

    def _values_of(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._without_values(value)
        if isinstance(value, dict):
            return {
                key if _PLAIN_KEY.fullmatch(key) else self._without_values(key): self._values_of(item)
                for key, item in value.items()
            }
        return [self._values_of(item) for item in value] if isinstance(value, list) else value

    def is_secret_key(self, key: str) -> bool:
        """Whether a value under this key is to be hidden whatever it is."""
        return _is_secret_name(key)

    def is_plain(self, args: dict[str, Any]) -> bool:
        """Whether arguments are a few short ASCII strings, small integers and flags, and surely hold no secret.

        The usual case, told apart cheaply; False says nothing.
        """
        if len(args) > _PLAIN_ARGUMENTS:
            return False
        plain = self._plain
        for key, value in args.items():
            if type(key) is not str or not ((key in plain and not _is_secret_name(key)) or self._is_plain_key(key)):
                return False
            kind = type(value)
            if kind is str:
                if value not in plain and not self._is_plain_text(value):
                    return False
            elif kind is not bool and not (kind is int and -_PLAIN_INTEGER < value < _PLAIN_INTEGER):
                return False
        return True

    def _is_plain_key(self, key: str) -> bool:
        return not _is_secret_name(key) and self._is_plain_text(key)

    def _is_plain_text(self, text: str) -> bool:
        if len(text) > _PLAIN_TEXT or not text.isascii() or any(secret in text for secret in self._values):
            return False
        if _is_suspect(text):
            return False
        if len(self._plain) >= _PLAIN_KNOWN:
            self._plain.clear()
        self._plain.add(text)
        return True


def _is_suspect(text: str) -> bool:
    return any(trigger in text for trigger in _TRIGGERS)


def _forms(value: str) -> Iterator[str]:
    """Yield a secret as it is and in the encodings in which it travels."""
    yield value
    for encoded in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda found: found.group(0).lower(), encoded)
    data = value.encode("utf-8", "surrogatepass")
    for before in range(3):
        # Base64 of a text that holds the secret holds, whatever stands around it, one of these three.
        whole = b64encode(b"\0" * before + data).decode()
        start, end = (0, 2, 3)[before], (len(data) + before) * 8 // 6
        core = whole[start:end]
        if len(core) >= _MIN_LENGTH:
            yield core
            yield core.replace("+", "-").replace("/", "_")


@lru_cache(maxsize=1024)
def _is_secret_name(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and not _NO_SECRET_NAME.search(name)
