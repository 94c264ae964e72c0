"""Plug-ins that are one file: what is found in them, under which names, and what is said of those that are wrong."""

from __future__ import annotations

import hashlib
import inspect
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.build import load
from baselines.cards import MethodCard
from harness.errors import PluginError
from harness.plugins.file_cards import cards_of
from harness.plugins.plugin_file import PluginFile, read_file
from harness.plugins.references import reference_fault, unusable
from tests.plugin_files import NETWORK, TASK, forgotten, write

PARTS = """
from dataclasses import replace
import tasks.catalogue
from baselines.catalogue import *
from baselines.catalogue import GROUP_AVERAGING, MLP
from baselines.cards import MethodCard
from tasks.catalogue import NBODY as bodies

ONE = replace(MLP, name="one")
OTHER = ONE
PART = replace(MLP, name="part")
PAIR = MethodCard(base=PART, sampler=replace(GROUP_AVERAGING, name="mine"))
SAMPLER = replace(GROUP_AVERAGING, name="own")
TASK = replace(bodies, name="two")
ALIAS = tasks.catalogue.NBODY
NUMBER = 3
"""


@pytest.fixture(autouse=True)
def unknown() -> Iterator[None]:
    with forgotten():
        yield


def test_cards_of_the_file_are_found_and_those_that_it_imports_or_puts_into_a_method_are_not(tmp_path: Path) -> None:
    found = cards_of(read_file(write(tmp_path, text=PARTS)))
    assert {name: card.name for name, card in found.items()} == {
        "ONE": "one",
        "PAIR": "part-mine",
        "SAMPLER": "own",
        "TASK": "two",
    }


def test_a_card_that_another_file_gives_is_not_this_files(tmp_path: Path) -> None:
    first = read_file(write(tmp_path, "first.py", TASK))
    cards_of(first)
    text = f"from {first.module} import CARD\nfrom dataclasses import replace\nOWN = replace(CARD, name='own')"
    assert [card.name for card in cards_of(read_file(write(tmp_path, "second.py", text))).values()] == ["own"]


@pytest.mark.parametrize("name", ["my_net.py", "my-net.py", "my net.v2.py", "torch.py", "näh.py"])
def test_what_a_file_defines_is_found_by_its_own_name_and_by_pickle(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, NETWORK.replace("my_net:", f"{name.removesuffix('.py')}:"))
    file = read_file(path)
    path.unlink()  # what was read is enough
    card = cards_of(file)["CARD"]
    assert isinstance(card, MethodCard)
    reference = card.base.implementation
    assert reference_fault(reference) is None and unusable(reference) is None
    mine = load(reference)
    assert mine.__module__ == file.module and pickle.loads(pickle.dumps(mine)) is mine
    assert "What the card names." in inspect.getsource(mine)


def test_a_reference_by_the_modules_own_name_and_to_another_module_stay(tmp_path: Path) -> None:
    text = NETWORK.replace('"my_net:Mine"', '__name__ + ":Mine"')
    file = read_file(write(tmp_path, text=text))
    [card] = cards_of(file).values()
    assert isinstance(card, MethodCard) and card.base.implementation == f"{file.module}:Mine"
    elsewhere = NETWORK.replace("my_net:Mine", "baselines.equivariant.egnn:EGNN")
    [card] = cards_of(read_file(write(tmp_path, text=elsewhere))).values()
    assert isinstance(card, MethodCard) and card.base.implementation == "baselines.equivariant.egnn:EGNN"


@given(content=st.binary(max_size=64), name=st.from_regex(r"[\w.+ -]{1,20}\.py", fullmatch=True))
def test_the_name_of_the_module_is_that_of_name_and_content(content: bytes, name: str) -> None:
    file, moved = (PluginFile(path=f"{folder}/{name}", content=content) for folder in ("/a", "/b/c"))
    assert file.module == moved.module and file.module.isidentifier()
    assert file.digest == hashlib.sha256(content).hexdigest() and file.digest.startswith(file.version)
    assert PluginFile(path=file.path, content=content + b"\n").module != file.module
    assert pickle.loads(pickle.dumps(file)) == file


def test_another_process_imports_the_same_without_the_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    file = read_file(path)
    path.unlink()
    [card] = cards_of(file).values()
    assert isinstance(card, MethodCard)
    with (tmp_path / "sent").open("wb") as sent:
        pickle.dump(file, sent)
        pickle.dump(load(card.base.implementation), sent)
    ask = (
        "import pickle, sys; from harness.plugins.file_cards import cards_of; sent = open(sys.argv[1], 'rb')\n"
        "[card] = cards_of(pickle.load(sent)).values(); print(pickle.load(sent).__module__, card.base.implementation)"
    )
    words = [sys.executable, "-c", ask, str(tmp_path / "sent")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [file.module, f"{file.module}:Mine"]


def test_an_error_of_its_code_shows_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, text=TASK + "\ndef fails():\n    raise ValueError('no')  # here\n")
    file = read_file(path)
    cards_of(file)
    path.unlink()
    with pytest.raises(ValueError, match="no") as raised:
        sys.modules[file.module].fails()
    assert "raise ValueError('no')  # here" in "".join(traceback.format_exception(raised.value))


UNREADABLE = {
    "": "is a folder",
    "cards.txt/cards.py": "cannot be read: Not a directory",
    "missing.py": r"There is no plug-in file .*missing\.py\.",
    "folder": "is a folder, and a plug-in is one Python file: name that file, or install the package",
    "folder.py": "is a folder",
    "cards.txt": r"is no Python file: the name of a plug-in file ends in \.py",
    "no\0name.py": "cannot be read",
    f"{'x' * 300}.py": "cannot be read: File name too long",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_python_file_is_named(tmp_path: Path, name: str) -> None:
    for folder in ("folder", "folder.py"):
        (tmp_path / folder).mkdir()
    (tmp_path / "cards.txt").write_text(TASK)
    with pytest.raises(PluginError, match=UNREADABLE[name]):
        read_file(tmp_path / name)


WRONG = {
    "x = 1\ny = (": r"cannot be imported \(line 2: SyntaxError: '\(' was never closed\)",
    "x = 1\n\n1 / 0": r"cannot be imported \(line 3: ZeroDivisionError: division by zero\)",
    "import no_such_package": r"line 1: ModuleNotFoundError: No module named 'no_such_package'",
    "from tasks import nothing": "line 1: ImportError: cannot import name 'nothing'",
    "def f():\n    import sys\n    sys.exit(3)\nf()": r"line 3: SystemExit: 3",
    "class Stop(BaseException): pass\nraise Stop": "line 2: Stop",
    "\n\nimport helper": "line 3 imports helper, which is beside it and not installed: put all code into the one file",
    "from helpers.deep import x": "line 1 imports helpers, which is beside it",
    "from . import helper": "line 1: ImportError: attempted relative import",
    "x = '\xff'": "SyntaxError|codec can't decode",
    "x = 0\0": "null bytes",
    "# coding: no_such_code\n": "SyntaxError: unknown encoding",
    "": "it has no TaskCard, BaseCard, SamplerCard or MethodCard at its top level, so it registers nothing",
    "from tasks.catalogue import NBODY as CARD": "it has no TaskCard",
    "def make():\n    from tasks.catalogue import NBODY": "it has no TaskCard",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_cannot_be_used_is_one_sentence_and_leaves_no_module(tmp_path: Path, text: str) -> None:
    (tmp_path / "helper.py").write_text("")
    (tmp_path / "helpers").mkdir()
    path = tmp_path / "cards.py"
    path.write_bytes(text.encode("latin-1"))
    before = set(sys.modules)
    with pytest.raises(PluginError, match=WRONG[text]) as raised:
        cards_of(read_file(path))
    said = str(raised.value)
    assert said.startswith(f"The plug-in file {path} cannot be used: ") and said.endswith(".") and "\n" not in said
    assert not {name for name in set(sys.modules) - before if "cards" in name and "it has no" not in said}


def test_an_interrupt_is_no_error_of_the_file(tmp_path: Path) -> None:
    file = read_file(write(tmp_path, text="raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        cards_of(file)
    assert file.module not in sys.modules
