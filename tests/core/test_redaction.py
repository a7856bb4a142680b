"""Secrets are replaced by value and by key, and what is written stays readable."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goal_drift_gym.core import redaction
from goal_drift_gym.core.redaction import REDACTED, Redactor, register_secret


def test_values_of_variables_with_secret_names_are_replaced():
    environ = {
        "OPENAI_API_KEY": "key-value-1",
        "GITHUB_TOKEN": "tok-value-2",
        "DB_PASSWORD": "pass-value-3",
        "MAX_TOKENS": "max-value-4",
        "HOME": "home-value-5",
        "AWS_SECRET_ACCESS_KEY": "aws-value-6",
        "SHORT_TOKEN": "abc",
        "Authorization": "auth-value-7",
    }
    text = Redactor.from_environment(environ).text(" ".join(environ.values()))
    assert text == "[redacted] [redacted] [redacted] max-value-4 home-value-5 [redacted] abc [redacted]"


def test_longer_secrets_go_first_and_all_are_counted():
    redactor = Redactor(["secret-1", "secret-1-long"])
    assert redactor.text("secret-1-long secret-1 secret-1") == "[redacted] [redacted] [redacted]"
    assert redactor.count == 3


def test_registered_secrets_count_from_then_on(monkeypatch):
    monkeypatch.setattr(redaction, "_registered", [])
    register_secret("my-own-secret")
    register_secret("my-own-secret")
    assert redaction._registered == ["my-own-secret"]
    assert Redactor.from_environment({}).text("my-own-secret") == "[redacted]"
    assert Redactor.from_environment().text("my-own-secret") == "[redacted]"


def test_a_short_string_cannot_be_registered():
    with pytest.raises(ValueError, match="too short"):
        register_secret("abc")


def test_lines_stay_json_whatever_the_secret():
    line = (
        b'{"seed":12345678,"x":0.123456781,"text":"12345678 a\\"quote\\\\","list":["alignment",null],"alignment":1.0}\n'
    )
    redactor = Redactor(["12345678", 'a"quote\\', "alignment"])
    assert json.loads(redactor.line(line)) == {
        "seed": 12345678,
        "x": 0.123456781,
        "text": "[redacted] [redacted]",
        "list": ["[redacted]", None],
        "alignment": 1.0,
    }
    assert redactor.line(line).endswith(b"}\n")


def test_keys_that_are_no_field_names_are_replaced():
    assert Redactor(["sk-0123456789"]).line(b'{"sk-0123456789":1}') == b'{"[redacted]":1}'


def test_a_line_without_secrets_is_the_same_bytes():
    line = b'{"a": 1,"b":"x"}\n'
    assert Redactor(["something-else"]).line(line) is line


@pytest.mark.parametrize("word", ["completed", "truncated", "terminated", "declined", "observation", "tool_result"])
def test_words_of_the_format_are_no_secrets(word):
    assert Redactor([word]).text(word) == word


@given(secret=st.text(min_size=8, max_size=30).filter(lambda text: text.isprintable()), before=st.text(max_size=9))
def test_no_secret_survives_in_a_line(secret, before):
    line = json.dumps({"text": before + secret}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    redactor = Redactor([secret])
    if secret in redactor._values:
        assert secret not in json.loads(redactor.line(line))["text"]


def test_plain_arguments_are_told_apart():
    redactor = Redactor(["planted-secret"])
    assert redactor.is_plain({"pr": "pr1", "n": 3, "b": True})
    for args in (
        {"pr": "planted-secret"},
        {"planted-secret": 1},
        {"token": "x"},
        {"a": 1.5},
        {"a": None},
        {"a": "é"},
        {"é": 1},
        {1: 1},
        {"a": "x" * 65},
        {"a": 2**60},
        {str(i): i for i in range(9)},
    ):
        assert not redactor.is_plain(args)


ODD = "s3cr3t/ky+val=ue99"


@pytest.mark.parametrize("before", ["", "u", "us", "user:", "abcd"])
@pytest.mark.parametrize("after", ["", "x", "yz", "@host"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_secret_inside_base64_is_replaced_wherever_it_stands(before, after, encode):
    encoded = encode((before + ODD + after).encode()).decode()

    clean = Redactor([ODD]).text(encoded)

    assert REDACTED in clean
    assert len(clean) < len(encoded) - len(ODD) + len(REDACTED) + 6


@pytest.mark.parametrize(
    "encoded",
    [
        "s3cr3t%2Fky%2Bval%3Due99",
        "s3cr3t%2fky%2bval%3due99",
        "s3cr3t/ky%2Bval%3Due99",
    ],
)
def test_a_url_encoded_secret_is_replaced(encoded):
    assert Redactor([ODD]).text(f"x={encoded}&y") == f"x={REDACTED}&y"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("see https://me:hunter2@host/path", f"see https://{REDACTED}@host/path"),
        ("Authorization: Bearer abcdefgh", f"Authorization: {REDACTED}"),
        ("{'x-api-key': 'abcdefgh12'}", f"{{'x-api-key': '{REDACTED}'}}"),
        ("Bearer abcdefgh12345678ij", f"Bearer {REDACTED}"),
        ("key sk-abcdefghijklmnopqrstuv", f"key {REDACTED}"),
        ("ghp_" + "a1" * 18, REDACTED),
        ("AKIAABCDEFGHIJKLMNOP", REDACTED),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", REDACTED),
    ],
)
def test_what_has_the_shape_of_a_secret_is_replaced_and_stays_so(text, clean):
    redactor = Redactor([])

    assert redactor.text(text) == clean
    assert redactor.text(clean) == clean
    assert redactor.count >= 1


@pytest.mark.parametrize(
    "text",
    [
        "see https://host/path?x=a@b",
        "cookie, please take one",
        "the bearer responsibilities of this role",
        "task-force-of-twenty-people",
        "Authorization is required",
        "basic responsibilities",
    ],
)
def test_innocent_text_is_left_alone(text):
    assert Redactor([]).text(text) == text


def test_passwords_in_urls_of_the_environment_are_secrets():
    redactor = Redactor.from_environment({"HTTPS_PROXY": "http://me:top%2Fsecret-1@proxy:80"})

    assert redactor.text("top/secret-1") == REDACTED
