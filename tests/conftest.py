# SPDX-License-Identifier: Apache-2.0
"""Shared fixtures: the data folder (tests that need it are skipped where it is absent)."""

import os
from pathlib import Path

import pytest

from tests.support.firmware_build import Build, build
from tests.support.small_data import write_data, write_more
from tests.support.wav import SPEECH, wav
from wakestate.train.data.corpus import Corpus, load_corpus

ROOT = Path(__file__).resolve().parent.parent

#: A board comes and goes in boards/ in the first; the others list what is there.
OF_ALL_BOARDS = {"test_flash.py", "test_boards.py", "test_bench.py"}


#: What takes a minute or so, longest first: begun first, so that all processes are busy to the end.
LONG = (
    "flash fit exact real_audio firmware learner report verifier evaluate_command export frontend"
    " peers compile_weights compile_ops emulator_boards compile evaluate device kernels"
)


def began(item: pytest.Item) -> int:
    """The rank of its file among those that take long."""
    name = item.path.stem.removeprefix("test_")
    names = LONG.split()
    return names.index(name) if name in names else len(names)


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in a hook of the same name
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its room. With several processes (pytest -n), a file's tests stay together:
    they share fixtures."""
    items.sort(key=began)
    for item in items:
        item.add_marker(item.path.parent.name)
        name = item.path.name
        group = "boards" if name in OF_ALL_BOARDS else name
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def data() -> Path:
    """The data folder: $DATA, or ../shared/data."""
    folder = Path(os.environ.get("DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"no data folder at {folder}: set DATA to one")
    return folder


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data folder."""
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smaller one, for --also."""
    return write_more(tmp_path_factory.mktemp("more"))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where its decoded audio is kept."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def corpus(sounds: Path, cache: Path) -> Corpus:
    """Its train split."""
    return load_corpus(sounds, "train", cache)


@pytest.fixture(scope="session")
def host() -> Build:
    """The scripted word on this computer, sanitized."""
    return build("scripted", "host", sanitize=True)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A file that wakes the scripted word at 1.065 and 2.565 s."""
    path = tmp_path / "speech.wav"
    path.write_bytes(wav(SPEECH))
    return path
