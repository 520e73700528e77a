# SPDX-License-Identifier: Apache-2.0
"""The same bytes from one process, from two, and from workers of Dask."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.executors import TOY
from tests.support.firmware_build import build
from wakestate.train import address, executors, parcels
from wakestate.train.data.corpus import DataError, load_corpus
from wakestate.train.evaluation import trials
from wakestate.train.evaluation.evaluate import evaluate
from wakestate.train.evaluation.listening import Options
from wakestate.train.learning import pool
from wakestate.train.parallel import in_parallel
from wakestate.train.synthesis.engine import Engine, Speech
from wakestate.train.synthesis.make import Speakers, SynthesisConfig, make_data
from wakestate.train.synthesis.script import Counts
from wakestate.words import load_word

#: Workers of Dask, seconds each: by hand 10. tests/unit/test_parallel.py kills ten processes.
KILLS = int(os.environ.get("KILLS", "1"))
JARVIS = 'name = "jarvis"\nphrase = "hey jarvis"\n[data]\npositive = ["hey jarvis"]\n'


def made(folder: Path, sounds: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    """Hashes of everything that data, scenes and a short evaluation write into a folder."""
    patch.setattr(pool, "SHARD", 3)
    patch.setattr(trials, "ALTERATIONS", {})
    (folder / "jarvis.toml").write_text(JARVIS)
    if shutil.which("flite"):
        few = SynthesisConfig(Counts(3, 2, 1), 1, ("flite",), folder, "no")
        make_data(load_word(folder / "jarvis.toml"), folder / "data", few)
    corpus = load_corpus(sounds, "train", folder / "cache", TOY.word.data)
    pool.render_pool(corpus, TOY.word, folder / "pool", "negative", "train", 6, seed=1)
    library = build("toy", "host").folder / "libwakestate.so"
    options = Options(draws=1, ser_db={"high": (0.0,)}, peers=False, short=True)
    results = evaluate(
        TOY.word, library, sounds, "dev", folder / "cache", options, folder / "streamed"
    )
    (folder / "evaluate.json").write_text(results.model_dump_json())
    shutil.rmtree(folder / "cache")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in files}


@contextmanager
def dask() -> Iterator[tuple[str, Any]]:
    """Its address, with two workers, and the cluster."""
    if not find_spec("distributed"):
        pytest.skip("dask is not installed: pip install 'wakestate[dask]'")
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address.replace("tcp://", "dask://"), cluster


@pytest.fixture(scope="module")
def by_dask() -> Iterator[tuple[str, Any]]:
    with dask() as found:
        yield found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, sounds: Path) -> dict[str, str]:
    """From one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        return made(tmp_path_factory.mktemp("alone"), sounds, patch)


@pytest.mark.parametrize("engine", ["processes", "dask"])
def test_bytes_do_not_depend_on_where_the_work_runs(
    engine: str,
    alone: dict[str, str],
    tmp_path: Path,
    sounds: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    where = engine
    if engine == "dask":
        where, _ = request.getfixturevalue("by_dask")
    monkeypatch.setenv(address.EXECUTOR, where)
    assert made(tmp_path, sounds, monkeypatch) == alone


def _square(folder: Path, number: int) -> int:
    time.sleep(0.05)
    return number * number + len(list(folder.iterdir()))


def test_workers_killed_at_random_change_nothing(
    by_dask: tuple[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their nannies start others."""
    where, cluster = by_dask
    monkeypatch.setenv(address.EXECUTOR, where)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared").mkdir()
    killed, done, rng = [], threading.Event(), np.random.default_rng(1)

    def kill() -> None:
        while len(killed) < KILLS and not done.wait(0.1):
            found = [n.process.pid for n in cluster.workers.values() if n.process.pid]
            if found:
                killed.append(found[int(rng.integers(len(found)))])
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        jobs, found = list(range(60)), list[int]()
        while len(killed) < KILLS:
            found = in_parallel(_square, jobs, "work", "jobs", shared=tmp_path / "shared")
            assert found == [n * n for n in jobs]
    finally:
        done.set()
        thread.join()
    assert found


def _lacking(job: int) -> int:
    import no_such_package  # type: ignore[import-not-found]

    return int(no_such_package.number + job)


class _Voice(Engine):
    """Says what is in a file of this machine."""

    name, source, licence = "voice", "", ""

    def __init__(self, file: str) -> None:
        self.file = file

    def missing(self) -> str:
        return "" if Path(self.file).is_file() else "voice: apt-get install voice"

    def voices(self) -> list[str]:
        return ["one"]

    def synthesize(self, text: str, voice: str, speed: float) -> Speech:
        return Speech(np.frombuffer(Path(self.file).read_bytes(), np.int16))


def _said(speakers: Speakers, job: int) -> int:
    return len(speakers.of["voice"].synthesize("", "one", job).pcm)


def _read(path: Path, job: int) -> str:
    return f"{path.name} {path.read_text()} {job}"


class _Local:
    """An engine that runs the worker's side in this process."""

    lost = (KeyboardInterrupt,)

    def submit(self, parcel: bytes) -> Any:
        from concurrent.futures import Future

        future: Future[Any] = Future()
        try:
            future.set_result(executors.run(parcel, executors.version()))
        except Exception as error:
            future.set_exception(error)
        return future

    reason = executors.Engine.reason


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work goes through the worker's side, with a cache of its own."""
    monkeypatch.setattr("wakestate.train.parallel.engine", _Local)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(address.EXECUTOR, "dask://nowhere")  # put back behind the test
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("worker")
def test_a_worker_without_a_package_or_of_another_version_is_named() -> None:
    with pytest.raises(executors.WorkerError, match=r"^worker \S+ .*no_such_package: not insta"):
        in_parallel(_lacking, [1], "work", "jobs")
    assert executors.version().startswith("0.1.0 of sources ")
    with pytest.raises(executors.WorkerError, match=r"^worker \S+ .*, and this is 0.0.9; install"):
        executors.run(b"", "0.0.9")


@pytest.mark.usefixtures("worker")
def test_a_worker_without_a_voice_or_with_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, sent = tmp_path / "voice", parcels.pack
    file.write_bytes(b"abcd")
    speakers = Speakers([_Voice(str(file))])
    assert in_parallel(_said, [1, 2], "speak", "clips", shared=speakers) == [2, 2]
    for change, text in (
        (lambda: file.write_bytes(b"abcdef"), "voice: speaks otherwise there; install the same"),
        (lambda: file.unlink(missing_ok=True), "without voice: apt-get install voice"),
    ):

        def pack_and_change(value: Any, change: Callable[[], Any] = change) -> bytes:
            packed = sent(value)
            change()
            return packed

        file.write_bytes(b"abcd")
        parcels.unpack_kept.cache_clear()
        with monkeypatch.context() as patch, pytest.raises(DataError, match=text):
            patch.setattr("wakestate.train.parallel.pack", pack_and_change)
            in_parallel(_said, [1], "speak", "clips", shared=speakers)


@pytest.mark.usefixtures("worker")
def test_files_reach_workers_by_what_is_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sent = tmp_path / "x.txt", parcels.pack
    path.write_text("one")

    def pack_and_lose(value: Any) -> bytes:
        packed = sent(value)
        path.write_text("another")
        return packed

    assert in_parallel(_read, [1, 2], "work", "jobs", shared=path) == ["x.txt one 1", "x.txt one 2"]
    monkeypatch.setattr("wakestate.train.parallel.pack", pack_and_lose)
    path.write_text("two")
    with pytest.raises(executors.WorkerError, match=r"x.txt: is another file there; hint: mount"):
        in_parallel(_read, [1], "work", "jobs", shared=path)
    pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'wakestate[dask]'")
    path.write_text("three")
    monkeypatch.setenv(address.STORE, f"file://{tmp_path}/store")
    assert in_parallel(_read, [1], "work", "jobs", shared=path) == ["x.txt three 1"]
    (stored,) = [p for p in (tmp_path / "store").iterdir() if p.read_bytes() == b"three"]
    assert stored.name == sha256(b"three").hexdigest()


@pytest.mark.parametrize("given", ["dask://", "ray", "http://x:1", ""])
def test_an_executor_is_checked(given: str) -> None:
    with pytest.raises(ValueError, match=r"allowed: processes, dask://HOST:PORT, ray://"):
        address.checked(given)
