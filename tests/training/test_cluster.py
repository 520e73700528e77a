# SPDX-License-Identifier: Apache-2.0
"""The same bytes from one process, from two, and from workers of Dask and Ray."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.examples import typed_line
from tests.support.executors import TOY
from tests.support.firmware_build import build
from wakestate.__main__ import main
from wakestate.bench import clusters
from wakestate.commands import options
from wakestate.train import address, costs, executors, parcels, store
from wakestate.train.data.corpus import Corpus, DataError, load_corpus
from wakestate.train.evaluation import trials
from wakestate.train.experiments.runs import MADE, train_all
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
    where = os.environ.get(address.EXECUTOR, address.PROCESSES)
    patch.setenv(address.EXECUTOR, where)  # which the command sets
    patch.setattr(options, "CACHE", folder / "cache")
    here: dict[str, str | Path] = {"alexa": TOY.word_path, "data/alexa": sounds}
    here["dask://10.0.0.1:8786"] = where
    more = ["--model", TOY.folder, "--library", library, "--out", folder, "--draws", "1"]
    more += ["--short", "--echo", "high=0"]
    if where == address.PROCESSES:
        typed = typed_line(
            "evaluate --word alexa --data data/alexa --executor dask://10.0.0.1:8786", here, *more
        )
    else:
        here["file:///mnt/wakestate"] = url = f"file://{folder}-store"
        patch.setenv(address.STORE, url)  # which the command sets
        typed = typed_line(
            "evaluate --word alexa --data data/alexa --short --executor dask://10.0.0.1:8786 "
            "--store file:///mnt/wakestate",
            here,
            *more,
        )
    assert main(typed) == 0
    shutil.rmtree(folder / "cache")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def by_dask() -> Iterator[str]:
    """The address of two workers of Dask."""
    pytest.importorskip(
        "distributed", reason="dask is not installed: pip install 'wakestate[dask]'"
    )
    with clusters.dask(2) as address:
        yield address


@pytest.fixture(scope="module")
def by_ray() -> Iterator[str]:
    """The address of two workers of Ray."""
    pytest.importorskip("ray", reason="not installed: pip install 'wakestate[ray]'")
    with clusters.ray(2) as address:
        yield address


def chosen(engine: str, request: pytest.FixtureRequest) -> str:
    """What --executor takes for it."""
    return engine if engine == "processes" else str(request.getfixturevalue(f"by_{engine}"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, sounds: Path) -> dict[str, str]:
    """From one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "cores", lambda: 1)
        return made(tmp_path_factory.mktemp("alone"), sounds, patch)


CLUSTER_MODULES = {"dask": "distributed", "ray": "ray"}
ENGINES = ["processes", *CLUSTER_MODULES]


@pytest.mark.parametrize("engine", ENGINES)
def test_bytes_do_not_depend_on_where_the_work_runs(
    engine: str,
    alone: dict[str, str],
    tmp_path: Path,
    sounds: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(costs, "cores", lambda: 2)
    monkeypatch.setenv(address.EXECUTOR, chosen(engine, request))
    assert made(tmp_path, sounds, monkeypatch) == alone


def trained(place: Path, sounds: Path) -> dict[str, bytes]:
    """The files of two networks, of two variants and seeds; but for the times that they took."""
    jobs = [("none", 1), ("both", 2)]
    train_all(TOY.word, sounds, (), place / "cache", place, jobs, 0.001, rounds=1, batches=2)
    files = [path for path in sorted(place.glob("*-*/*")) if path.name in MADE]
    assert len(files) == len(jobs) * len(MADE)
    return {str(p.relative_to(place)): p.read_bytes() for p in files if p.suffix != ".csv"}


def test_networks_of_an_experiment_do_not_depend_on_where_they_learn(
    tmp_path: Path, sounds: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """From one process, from two, and from those of Dask and Ray that are here."""
    monkeypatch.setattr(costs, "cores", lambda: 2)
    here = [name for name, module in CLUSTER_MODULES.items() if find_spec(module)]
    engines = [(engine, chosen(engine, request)) for engine in (*here, "processes")]
    with monkeypatch.context() as patch:
        patch.setattr(costs, "cores", lambda: 1)
        alone = trained(tmp_path / "alone", sounds)
    for engine, where in engines:
        monkeypatch.setenv(address.EXECUTOR, where)
        assert trained(tmp_path / engine, sounds) == alone, engine


def _square(folder: Path, number: int) -> int:
    time.sleep(0.05)
    return number * number + len(list(folder.iterdir()))


def test_workers_killed_at_random_change_nothing(
    by_dask: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their nannies start others."""
    from distributed import Client

    client = Client(by_dask.replace("dask", "tcp"), set_as_default=False)
    monkeypatch.setenv(address.EXECUTOR, by_dask)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared").mkdir()
    killed, done, rng = [], threading.Event(), np.random.default_rng(1)

    def kill() -> None:
        while len(killed) < KILLS and not done.wait(0.1):
            found = [*client.run(os.getpid, on_error="ignore").values()]
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
        client.close()
    assert found


def _lacking(job: str) -> int:
    raise ModuleNotFoundError(name=job)


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
    for lacks, more in (
        ("no_such_package", ""),
        ("tensorflow.python", ""),
        ("soundfile", ""),
        ("piper", ",voices"),
        ("kokoro_onnx", ",voices"),
        ("distributed", ",dask"),
        ("ray", ",ray"),
    ):
        text = rf"^worker \S+ \(.*\): {lacks.partition('.')[0]}: not installed there; "
        text += rf"pip install 'wakestate\[train,synth,peers{more}\]'$"
        with pytest.raises(executors.WorkerError, match=text):
            in_parallel(_lacking, [lacks], "work", "jobs")
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


def test_results_in_a_store_are_not_made_again(
    corpus: Corpus, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor by a machine on which other folders hold the same."""
    fsspec = pytest.importorskip("fsspec", reason="not installed: pip install 'wakestate[dask]'")
    monkeypatch.setattr(pool, "SHARD", 2)
    elsewhere = load_corpus(sounds, "train", tmp_path / "other")
    for at, url in enumerate((f"file://{tmp_path}/store", "memory://store")):
        monkeypatch.setenv(address.STORE, url)
        system, root = fsspec.url_to_fs(url)

        def rendered(name: str, seed: int, at: int = at) -> bytes:
            folder = tmp_path / f"{at}-{name}"
            of = elsewhere if name == "second" else corpus
            pool.render_pool(of, TOY.word, folder, "negative", "train", 4, seed)
            return b"".join(path.read_bytes() for path in sorted(folder.glob("*.npz")))

        first = rendered("first", 1)
        (folder,) = system.ls(f"{root}/results", detail=False)
        files = sorted(system.ls(folder, detail=False))
        assert len(files) == 2
        with monkeypatch.context() as patch:
            patch.setattr(pool._Scenes, "__call__", lambda *_: pytest.fail("made again"))
            assert rendered("second", 1) == first
        assert rendered("third", 2) != first  # another seed is another result
        system.pipe_file(files[0], b"damaged")
        assert rendered("fourth", 1) == first
    monkeypatch.setenv(address.STORE, "none://x")
    with pytest.raises(store.StoreError, match=r"^--store none://x: results/"):
        rendered("fifth", 1)


@pytest.mark.parametrize("given", ["dask://", "ray", "http://x:1", ""])
def test_an_executor_is_checked(given: str) -> None:
    with pytest.raises(ValueError, match=r"allowed: processes, dask://HOST:PORT, ray://"):
        address.checked(given)
