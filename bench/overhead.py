# SPDX-License-Identifier: Apache-2.0
"""What a cluster costs on one machine (docs/scale.md):

    python -m wakestate.bench.overhead --data ../shared/data

The same work is done twice at the same time: by a process of the default executor on one core, and
by a cluster's one worker on another, with the scheduler and all else of the cluster beside it
there. Then again with the cores changed, so that neither core is the better one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path

from wakestate import ROOT
from wakestate.bench.clusters import CLUSTERS
from wakestate.boards.building import build_verbosely
from wakestate.tables import pipe
from wakestate.train.address import EXECUTOR, PROCESSES
from wakestate.train.data.corpus import load_corpus
from wakestate.train.evaluation.evaluate import evaluate
from wakestate.train.evaluation.listening import Options
from wakestate.train.learning.pool import render_pool
from wakestate.words import load_word

SEED = 1
LIBRARY = Path("build/host/alexa/libwakestate.so")
CACHE = Path("build/cache")


def worked(data: Path, scenes: int, folder: Path) -> str:
    """Mix scenes and evaluate alexa, short, into `folder`; a hash of all that came of it."""
    word = load_word(ROOT / "words/alexa.toml")
    corpus = load_corpus(data, "train", CACHE, word.data)
    pool = render_pool(corpus, word, folder / "pool", "negative", "train", scenes, SEED)
    options = Options(SEED, peers=False, short=True)
    found = evaluate(word, LIBRARY, data, "dev", CACHE, options, folder / "streamed")
    made = sha256(pool.features.tobytes())
    made.update(found.model_dump_json().encode())
    return made.hexdigest()


def arm(engine: str, core: int, data: Path, scenes: int) -> dict[str, float | str]:
    """What one engine took on one core, with the processes that it began: s of wall time for the
    work, s for the cluster to begin before; and the hash of what was made."""
    os.sched_setaffinity(0, {core})
    begun = time.monotonic()
    cluster = nullcontext(PROCESSES) if engine == PROCESSES else CLUSTERS[engine](1)
    with tempfile.TemporaryDirectory() as folder, cluster as address:
        os.environ[EXECUTOR] = address
        ready = time.monotonic()
        made = worked(data, scenes, Path(folder))
        done = time.monotonic()
    return {"begin_s": ready - begun, "work_s": done - ready, "made": made}


def side_by_side(engines: tuple[str, str], data: Path, scenes: int) -> list[dict[str, float | str]]:
    """Both at the same time, the first on core 0."""
    own = [sys.executable, "-m", "wakestate.bench.overhead", f"--data={data}", f"--scenes={scenes}"]
    calls = [[*own, f"--arm={engine}", f"--core={core}"] for core, engine in enumerate(engines)]
    arms = [subprocess.Popen(call, stdout=subprocess.PIPE, text=True) for call in calls]
    printed = [process.communicate()[0] for process in arms]
    if any(process.returncode for process in arms):
        raise SystemExit("overhead: it failed; see above")
    return [json.loads(text.splitlines()[-1]) for text in printed]


def main() -> None:
    """Print the table of docs/scale.md."""
    parser = argparse.ArgumentParser(prog="python -m wakestate.bench.overhead")
    parser.add_argument("--data", type=Path, required=True, help="data folder with dev and train")
    parser.add_argument("--scenes", type=int, default=8000, help="to mix, before the evaluation")
    parser.add_argument("--engines", nargs="+", choices=[*CLUSTERS], default=[*CLUSTERS])
    parser.add_argument("--arm", help=argparse.SUPPRESS)
    parser.add_argument("--core", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.arm:
        print(json.dumps(arm(given.arm, given.core, given.data, given.scenes)))
        return
    word = load_word(ROOT / "words/alexa.toml")
    names = ("WORD=alexa", f"WORDFILE_alexa={ROOT}/words/alexa.toml")
    build_verbosely("firmware/build.mk", "library", "BOARD=host", *names,
                    f"MODEL_alexa={ROOT}/models/alexa")  # fmt: skip
    for split in ("train", "dev"):  # decoded once, for all
        load_corpus(given.data, split, CACHE, word.data)
    rows = []
    for engine in given.engines:
        for order in ((PROCESSES, engine), (engine, PROCESSES)):
            found = dict(zip(order, side_by_side(order, given.data, given.scenes), strict=True))
            alone, cluster = found[PROCESSES], found[engine]
            assert alone["made"] == cluster["made"], "other bytes"
            more = 100 * (float(cluster["work_s"]) / float(alone["work_s"]) - 1)
            cells = [f"{alone['work_s']:.1f}", f"{cluster['work_s']:.1f}", f"{more:+.1f}"]
            rows.append([engine, str(order.index(engine)), *cells, f"{cluster['begin_s']:.1f}"])
            print(rows[-1], file=sys.stderr, flush=True)
    head = ["engine", "its core", "a process, s", "the cluster, s", "more, %", "to begin, s"]
    print(pipe(head, rows))


if __name__ == "__main__":
    main()
