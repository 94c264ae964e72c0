"""No secret is kept or shown, wherever it was typed; what is none stays as it is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import SymbenchError
from harness.spec import Job, RunSpec
from harness.suites import plan
from harness.utils.redaction import redacted, redacted_values, redacted_words
from tasks.protocol import Protocol

LETTERS = "abcdefghkmnpqrstuvwxyzABCDEFGHKMNPQRSTUVWXYZ0123456789"
SECRETS = st.text(f"{LETTERS}!$*+,;:._~%-@", min_size=6).map(lambda text: f"Zq{text}")
PLACES: tuple[Callable[[str], str], ...] = (
    lambda s: f"postgresql://user:{s}@host/db",
    lambda s: f"no answer from s3://user:{s}/?#{s}@bucket/store?region=x, tried 3 times",
    lambda s: f"http://{s}@host/path",
    lambda s: f"http://user:with@{s}@host:80/path@v1",
    lambda s: f"redirect=http%3A%2F%2Fuser%3A{s}%40host",
    lambda s: f"postgresql://host/db?user=me&password={s}&sslmode=require",
    lambda s: f"postgresql://host/db?sslpassword={s}",
    lambda s: f"https://host/x?token={s}#there",
    lambda s: f"https://host/x?a=1&access_token={s}",
    lambda s: f"https://blob/x?sv=2020&sig={s}&se=2030",
    lambda s: f"https://bucket/x?X-Amz-Credential={s}&X-Amz-Signature={s}",
    lambda s: f"https://bucket/x?AWSAccessKeyId={s}&Signature={s}&Expires=1",
    lambda s: f"https://host/x?key={s}",
    lambda s: f"https://host/x?api_key={s}&apikey={s}&api-key={s}",
    lambda s: f"https://host/login?next=%3Fpassword%3D{s}",
    lambda s: f"AWS_SECRET_ACCESS_KEY={s} AWS_SESSION_TOKEN = {s}",
    lambda s: f"DefaultEndpoints=https;AccountKey={s}",
    lambda s: f"connect(host='h', password='{s}')",
    lambda s: f"{ {'user': 'me', 'password': s} }",
    lambda s: json.dumps({"secret": s, "Authorization": s}),
    lambda s: f"Authorization: Bearer {s}",
    lambda s: f"authorization: {s}",
    lambda s: f"x-api-key: {s}",
    lambda s: f"X-Amz-Security-Token: {s}",
    lambda s: f"?token={s} then ?token={s}, //a:{s}@b and //a:{s}@b",
    lambda s: f"symbench run quick --set task_params.password={s} --set a=1",
    lambda s: f"mlflow --token {s}",
)


@given(SECRETS, st.sampled_from(PLACES))
def test_a_secret_is_left_out_wherever_it_stands(secret: str, place: Callable[[str], str]) -> None:
    shown = redacted(place(secret))
    assert secret not in shown
    assert redacted(shown) == shown


@pytest.mark.parametrize("place", PLACES)
def test_not_even_a_part_of_it_is_left(place: Callable[[str], str]) -> None:
    parts = ("Zqleft", "Zqmiddle", "Zqright")
    for separator in "@:%+;,!":
        shown = redacted(place(separator.join(parts)))
        assert not any(part in shown for part in parts), shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:pass@host:5000/a/b?c=d", "http://host:5000/a/b?c=d"),
        (
            "postgresql://u:p/w@host/db?sslpassword=x&sslmode=require",
            "postgresql://host/db?sslpassword=***&sslmode=require",
        ),
        ("key AKIAIOSFODNN7EXAMPLE of AWS", "key *** of AWS"),
        ("ghp_0123456789abcdefghij0123456789", "***"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def", "***"),
    ],
)
def test_what_stands_around_a_secret_stays(text: str, shown: str) -> None:
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "symbench run quick --set settings.epochs=2 --only task=nbody,method=gnn-* --store s3://bucket/store@2026",
        "http://127.0.0.1:5000/#/compare-runs?runs=%5B%22abc%22%5D&experiments=%5B%221%22%5D",
        "The Ray cluster asks for a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file that holds it.",
        "mail me@host, or see git+https://host/repository@main",
        "nbody(nodes=8) x egnn, seeds 0, 1: its worker died",
        "key=3, tokens=16, signature of the group S_n, secretary=1, passes=2",
        "file:///tmp/a%20b/mlartifacts and sqlite:////tmp/store/mlflow.db",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text
    assert redacted_words(text.split()) == tuple(text.split())


def test_a_word_of_a_command_may_be_a_secret_as_a_whole_or_have_spaces() -> None:
    words = ["symbench", "--token", "Zqone", "--set", "a.password=Zqtwo Zqthree", "--store", "s3://k:Zqfour@b/s", "x"]
    shown = ("symbench", "--token", "***", "--set", "a.password=***", "--store", "s3://b/s", "x")
    assert redacted_words(words) == shown
    assert redacted_words(["--token=Zqone", "--store", "s"]) == ("--token=***", "--store", "s")
    assert redacted_words(["a.password=Zqone\nZqtwo"]) == ("a.password=***",)


def test_secrets_of_the_environment_are_known_wherever_they_come_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "Zq/first+secret")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "Zq second")
    monkeypatch.setenv("SOME_DATABASE", "postgresql://me:Zq%2Fthird@host/db")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "abc")  # too short to be distinguished from a part of a word
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/some/file")
    monkeypatch.setenv("PWD", "/some/folder")
    monkeypatch.setenv("OLDPWD", "/another/folder")
    monkeypatch.setenv("MYSQL_PWD", "Zq-fourth")
    said = redacted("denied: Zq/first+secret, Zq second, Zq%2Fthird, Zq/third, Zq-fourth; abcissa in /some/file")
    assert said == "denied: ***, ***, ***, ***, ***; abcissa in /some/file"
    assert redacted("/some/folder/x and /another/folder") == "/some/folder/x and /another/folder"


def test_the_folder_of_a_shell_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PWD", "OLDPWD"):
        monkeypatch.setenv(name, "/home/somebody/project")
    command = ("/home/somebody/project/.venv/bin/symbench", "run", "/home/somebody/project/mine.yaml")
    assert redacted_words(command) == command


def test_values_are_redacted_at_any_depth_and_nothing_else_changes() -> None:
    values = {"a": [1, "http://u:Zq@h", {"password": "Zqx", "n": None}], "password_length": 3, "ok": True, "f": 0.5}
    assert redacted_values(values) == {
        "a": [1, "http://h", {"password": "***", "n": None}],
        "password_length": 3,
        "ok": True,
        "f": 0.5,
    }


def test_a_long_text_takes_no_long_time() -> None:
    import time

    began = time.process_time()
    for unit in ("//a:", "//", "x=", "password", "'", "a.", "%2F%2F", "-"):
        redacted(unit * (20_000 // len(unit)))
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize(
    ("where", "base", "refused"),
    [
        ("base.url", {"url": "http://u:Zq@host"}, True),
        ("base.inner.token", {"inner": {"token": "Zq"}}, True),
        ("base.urls", {"urls": ["http://host", "http://host?sig=Zq"]}, True),
        ("", {"url": "http://host/x", "token": 3, "act": "relu"}, False),
    ],
)
def test_a_setting_that_holds_a_secret_is_refused(where: str, base: dict[str, object], refused: bool) -> None:
    spec = RunSpec(
        task="graph8c",
        task_version="1",
        method="gin",
        method_version="1",
        base=base,
        seed=0,
        protocol="quick",
        settings=Protocol(),
    )
    if not refused:
        return plan.refuse_secrets([Job(spec=spec, suite="tests")])
    with pytest.raises(SymbenchError, match=f"The setting {where} holds a password") as caught:
        plan.refuse_secrets([Job(spec=spec, suite="tests")])
    assert "Zq" not in str(caught.value)


assert not any("Zq" in value for value in os.environ.values())


@pytest.mark.parametrize(
    "secret",
    [
        *(f"{kind}IOSFODNN7EXAMPLE" for kind in ("AKIA", "ASIA", "AROA", "AIDA")),
        *(f"gh{kind}_0123456789abcdefghij" for kind in "pousr"),
        *(f"{kind}0123456789abcdefghij" for kind in ("github_pat_", "glpat-", "hf_", "sk-")),
        *(f"xox{kind}-0123456789abcdefghij" for kind in "abeprs"),
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def",
        "Bearer Zqtoken",
        "bearer Zqtoken",
    ],
)
def test_keys_that_tell_themselves_need_no_name(secret: str) -> None:
    assert redacted(f"it says ({secret}) is refused".replace("(", " ").replace(")", " ")).count("***") == 1
    assert secret.removeprefix("Bearer ").removeprefix("bearer ") not in redacted(f"refused: {secret}")


def test_of_two_secrets_of_the_environment_the_longer_is_hidden_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six characters are enough, five are a part of too many words."""
    for name, value in {"A_TOKEN": "Zqsecr", "B_TOKEN": "Zqsecret-and-more", "C_TOKEN": "Zqfiv"}.items():
        monkeypatch.setenv(name, value)
    assert redacted("Zqsecret-and-more, Zqsecr, Zqfiv") == "***, ***, Zqfiv"
