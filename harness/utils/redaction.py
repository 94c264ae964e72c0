"""Removes passwords, tokens and keys from texts that are stored or shown.

The rules rather hide too much than too little, since shown texts stay in records.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

MASK = "***"
LEAST_CHARACTERS = 6
"""The shortest value of a secret environment variable that is hidden: shorter ones occur in too many words."""

_KINDS = (
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|token|signature|credentials?|api[_-]?key"
    r"|(?:access|secret|account|private|auth)[_-]?key(?:[_-]?id)?|(?<![a-z0-9])(?:sig|auth|authorization|pw|pass))"
)
"""How names of secrets end: ``sslpassword``, ``X-Amz-Signature``, ``AWS_SECRET_ACCESS_KEY``."""
_VALUE = r"(?!\*{3}(?:[\s&\"'),;\]}]|$))(?:\"[^\"]*\"|'[^']*'|[^\s&]+)"
_LONG = 4000  # bounds the cost: at most the length of a text without spaces times this
_RULES = (
    # User and password of an address end at its last @, even if the password contains a slash.
    (re.compile(rf"(?<=//)(?:[^\s/?#@:]{{0,{_LONG}}}:\S{{0,{_LONG}}}|[^\s/?#]{{0,{_LONG}}})@"), ""),
    (re.compile(rf"(?i)(?<=%2F%2F)[^\s&]{{0,{_LONG}}}%40"), ""),
    (re.compile(rf"(?i)({_KINDS}\s?(?:=|%3D)\s?){_VALUE}"), rf"\1{MASK}"),
    (re.compile(rf"(?i)({_KINDS}[\"']\s?[:=,]\s?){_VALUE}"), rf"\1{MASK}"),
    (re.compile(rf"(?i)(--[\w\-]{{0,40}}{_KINDS}\s){_VALUE}"), rf"\1{MASK}"),
    (re.compile(r"(?i)([?&]key(?:=|%3D))[^\s&]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\bauthorization\s?:\s?)(?:(?:basic|bearer|digest|token)\s)?\S+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\bbearer\s)\S+"), rf"\1{MASK}"),
    (re.compile(rf"(?i)(\bx-[\w\-]{{0,40}}{_KINDS}\s?:\s?)\S+"), rf"\1{MASK}"),
    # Keys with a known form: those of AWS, GitHub, GitLab, Hugging Face, OpenAI and Slack, and JSON web tokens.
    (re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|sk-|xox[abeprs]-)[\w\-]{16,}"), MASK),
    (re.compile(r"\beyJ[\w\-]{8,}\.[\w\-]+\.[\w\-]*"), MASK),
)
_ENVIRONMENT = re.compile(rf"(?i)(?!(?:OLD)?PWD\Z)\w*{_KINDS}(?:_ID)?")  # a shell's PWD is a folder
_ASSIGNED = re.compile(rf"(?is)([\w.\-]*{_KINDS}\s?=).+")
_OPTION = re.compile(rf"(?i)--?[\w\-]*{_KINDS}")
_KEY = re.compile(rf"(?i){_KINDS}\Z")
_PASSWORD = re.compile(r"//[^\s/?#@:]*:(\S+)@")


def redacted(text: str) -> str:
    """Returns a text without its secrets.

    Removes user and password of addresses. Masks the values of names such as ``token=``, keys with a known form, and
    the secrets in the environment of this process.
    """
    for secret in sorted(_secrets_of_environment(), key=len, reverse=True):
        text = text.replace(secret, MASK)
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


def redacted_words(words: Iterable[str]) -> tuple[str, ...]:
    """Returns the words of a command without secrets, including those that are whole words or contain spaces."""
    shown: list[str] = []
    follows = False
    for word in words:
        assigned = _ASSIGNED.fullmatch(word)
        shown.append(MASK if follows else f"{assigned[1]}{MASK}" if assigned else redacted(word))
        follows = _OPTION.fullmatch(word) is not None
    return tuple(shown)


def redacted_values(values: Any) -> Any:
    """Returns JSON values with :func:`redacted` applied to every text in them."""
    if isinstance(values, str):
        return redacted(values)
    if isinstance(values, Mapping):
        return {
            key: MASK if isinstance(value, str) and _KEY.search(str(key)) else redacted_values(value)
            for key, value in values.items()
        }
    return [redacted_values(value) for value in values] if isinstance(values, list | tuple) else values


def _secrets_of_environment() -> set[str]:
    found = set()
    for name, value in os.environ.items():
        if _ENVIRONMENT.fullmatch(name):
            found.add(value)
        elif "//" in value and "@" in value:
            found |= {form for password in _PASSWORD.findall(value) for form in (password, unquote(password))}
    return {secret for secret in found if len(secret) >= LEAST_CHARACTERS}
