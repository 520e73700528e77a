# SPDX-License-Identifier: Apache-2.0
"""The report: one page with everything in it, made again without measuring again."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.support.examples import typed_example
from tests.support.executors import TOY
from tests.support.firmware_build import build
from wakestate.__main__ import main
from wakestate.commands import experiment, options, train
from wakestate.train.data.corpus import DataError
from wakestate.train.evaluation.device import OURS
from wakestate.train.evaluation.document import SCHEMA_VERSION, Evaluated, Row, read, write
from wakestate.train.evaluation.float_baseline import FLOAT
from wakestate.train.evaluation.paired import comparison
from wakestate.train.newword.outcome import outcome
from wakestate.train.report import page
from wakestate.train.report.page import join, write_report
from wakestate.train.report.tables import BY_NAME, tables
from wakestate.train.report.verdict import in_hours


def at(threshold: int, accepts: int, misses: int, clips: int) -> dict[str, float]:
    frr = misses / clips
    return {
        "threshold": threshold,
        "false_accepts": accepts,
        "misses": misses,
        "frr": frr,
        "frr_low": frr / 2,
        "frr_high": min(1.0, 2 * frr),
    }


def crossed(misses: int) -> dict[str, Any]:
    found = {key: value for key, value in at(50, 1, misses, 20).items() if key != "threshold"}
    found |= {"thresholds": [50, 51], "missed": ("1" * misses).ljust(20, "0")}
    return {"0.5": found, "0.1": found}


SOUND: dict[str, Any] = {"state": "player=idle", "noise": "", "snr_db": 0.0, "ser_db": None}
SOUND |= {"level_dbfs": None, "plays": "", "altered": ""}
ENDPOINTS = {"wakes": 9, "start_bias_ms": 12.0, "end_bias_ms": -3.0}
ENDPOINTS |= {"start_standard_error_ms": 40.0, "end_standard_error_ms": 20.0}


def row(name: str, part: str, misses: int, **condition: Any) -> dict[str, Any]:
    curve = [[9.0, 0.0], [1.0, misses / 40], [0.5, misses / 20], [0.0, 1.0]]
    band = [[0.1, 0.2, 0.9], [1.0, 0.0, 0.4]]
    curve = [[*point, 100 * i] for i, point in enumerate(curve)]
    ratio = {"ratio": 0.5, "low": 0.25, "high": 1e9} if misses else None
    return {
        "condition": {**SOUND, "name": name, "part": part, **condition},
        "clips": 20,
        "speakers": 5,
        "hours": 2.0,
        "at": {"0.5": at(50, 1, misses, 20), "1": at(40, 2, misses // 2, 20)},
        "shipped": at(55, 1, misses, 20),
        "crossed": crossed(misses),
        "curve": curve,
        "band": band,
        "lfbe_db": [30.0 + misses] * TOY.word.frontend.bands,
        "endpoints": ENDPOINTS,
        "others": {
            "a <peer>": {
                "hours": 1.0,
                "at": {"0.5": at(900, 1, 2 * misses, 20), "1": at(800, 2, misses, 20)},
                "shipped": at(999, 0, misses, 20),
                "curve": curve,
                "band": band,
                "crossed": crossed(2 * misses),
                "ratio": {"0.5": ratio, "1": ratio},
            },
            FLOAT: {
                "crossed": {},
                "at": {"0.5": at(1, 1, misses + 1, 20), "1": at(1, 1, misses, 20)},
                "hours": 1.0,
                "shipped": None,
                "curve": curve,
                "band": band,
                "ratio": {},
            },
        },
    }


SCORES = {
    "first_s": 0.1,
    "step_s": 0.03,
    "scores": [0, 60, 0] * 20,
    "threshold": 50,
    "wakes_s": [0.13],
}
SCENE = {
    "condition": "clean",
    "level_dbfs": [-40.0] * 100,
    "frame_s": 0.02,
    "words_s": [[0.1, 0.5]],
    "listeners": {OURS: SCORES, "a <peer>": SCORES},
}
FIRED = {OURS: {"shipped": 1, "0.5": 2}, "a <peer>": {"shipped": 8, "0.5": 5}}
STATES = [
    {
        "listener": name,
        "state": state,
        "rate": rate,
        "hours": 4.0,
        "low": 0.1,
        "high": 2.0,
        "false_accepts": 3,
        "halves": [[50, 1, 2.0], [51, 2, 2.0]],
    }
    for name in (OURS, "a <peer>")
    for state in ("player=idle", "player=music")
    for rate in ("0.5", "0.1", "shipped")
]
ACCEPT = {
    "file": "dev/x.opus",
    "folder": 0,
    "at_s": 1.25,
    "score": 61,
    "state": "player=music",
    "plays": "player=music",
    "ser_db": 0.0,
    "altered": "",
    "kind": "speech",
    "half": 1,
    "text": "a <toy> in the shop",
    "block": 0,
    "sample": 52000,
}


@pytest.fixture
def found() -> Evaluated:
    rows = [
        row("clean", "sound", 0),
        row("noise 0 dB", "sound", 4, noise="noise"),
        row("player=music SER 0 dB", "state", 6, state="player=music", ser_db=0.0),
        row("mu-law, 8 kHz", "life", 3, altered="mu-law, 8 kHz"),
        row("music plays, state idle", "wrong-state", 9, ser_db=0.0, plays="player=music"),
        row("nothing plays, state music", "wrong-state", 8, state="player=music"),
        row("-30 dBFS", "gain", 1, level_dbfs=-30.0),
    ]
    return Evaluated.model_validate(
        {
            "schema_version": SCHEMA_VERSION,
            "voices": [f"v{i // 4}" for i in range(20)],
            "trials": "abc",
            "states": STATES,
            "false_accepts": [ACCEPT],
            "word": "toy",
            "split": "dev",
            "seed": 1,
            "draws": 3,
            "signal_to_echo_db": {"high": [0.0]},
            "positives": 20,
            "negatives": 1234,
            "peers_absent": "",
            "fingerprint": "abc",
            "band_hz": list(range(100, 100 + 100 * TOY.word.frontend.bands, 100)),
            "thresholds": {},
            "rows": rows,
            "excerpts": [SCENE],
            "confusables": [
                {"phrase": "toil & boil", "source": "synthetic", "tries": 10, "fired": FIRED}
            ],
        }
    )


def test_tables_report_what_was_found(found: Evaluated) -> None:
    made = {table.title: table.markdown() for table in tables(found)}
    main = made["False rejects at equal false accepts"].splitlines()
    assert main[2].startswith(
        f"| condition | {OURS}, 0.5 FA/h | a <peer>, 0.5 FA/h | ratio of misses |"
    )
    assert main[4].startswith("| clean | 0.0 [0.0, 0.0] | 0.0 [0.0, 0.0] | – it misses none |")
    assert main[5].startswith("| noise 0 dB | 20.0 [10.0, 40.0] | 40.0 [20.0, 80.0] | 0.50 [0.25")
    assert len(main) == 4 + 3
    wrong = made["The device reports a wrong state"].splitlines()
    # Beside: the same sound with the right state.
    assert wrong[4] == (
        "| music plays, state idle | 0.50 (1) | 45.0 [22.5, 90.0] | 0.50 (1) | 30.0 [15.0, 60.0] |"
    )
    assert wrong[5].endswith("| 40.0 [20.0, 80.0] | 0.50 (1) | 0.0 [0.0, 0.0] |")
    # 0 + 4 + 6 misses of 60 trials, and one more in each row.
    assert made["What int8 and streaming cost"].splitlines()[4] == (
        "| 0.5 FA/h | 16.7 (10) | 21.7 (13) | -23.1 % |"
    )
    confusables = made["Confusable phrases"].splitlines()
    assert confusables[-1] == (
        "| toil & boil synthetic | 10 | 10 % (1) | 20 % (2) | 80 % (8) | 50 % (5) |"
    )
    assert "| 40 bias +12 | 20 bias -3 | 9 |" in made["Endpoints"]
    of_states = made["False accepts at thresholds from the other half"].splitlines()
    assert of_states[4].startswith("| idle | 0.75 [0.10, 2.00] (1 + 2) |")
    life = made["Real life"].splitlines()
    assert life[5].startswith("| mu-law, 8 kHz | 15.0 0.50 FA/h | 30.0 |")
    # 10 trials that the peer alone misses, of 60.
    assert "| a <peer> | 0.5 FA/h | 16.7 | 33.3 | -16.7 [" in made["Paired test"]
    assert "| 0 : 10 |" in made["Paired test"]
    assert made[BY_NAME].splitlines()[-1] == (
        "| music | plays music, SER 0 dB | dev/x.opus speech | 1.2 | 61 | a <toy> in the shop |"
    )


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "path", "use"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_the_page_holds_everything(found: Evaluated, tmp_path: Path) -> None:
    results = tmp_path / "evaluate.json"
    write(found, results)
    costs = tmp_path / "costs.json"
    costs.write_text('{"rows": []}')
    (tmp_path / "x.wav").touch()
    (tmp_path / "manifest.csv").write_text(
        "path,split,kind,label,speaker,seconds,licence\nx.wav,dev,music,,n/a,900,<CC0>\n"
    )
    beside = tmp_path / "plain.json"
    write(found, beside)
    path = write_report(
        TOY.word, TOY.folder, results, tmp_path / "report", costs, [("plain", beside)], [tmp_path]
    )
    text = path.read_text()
    page = _Page()
    page.feed(text)
    assert page.open == []
    # Nothing is fetched, nothing runs.
    urls = {u for u in re.findall(r"https?://[^\s\"'<>]+", text) if "www.w3.org" not in u}
    assert urls == set()
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "img"}
    for _, given in page.tags:
        target = given.get("href") or given.get("src") or given.get("xlink:href") or "#"
        assert target.startswith("#")
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))
    links = {str(g["href"])[1:] for tag, g in page.tags if tag == "a"}
    sections = {str(given["id"]) for tag, given in page.tags if tag == "h2"}
    assert links == sections and "a &lt;toy&gt; in the shop" in text
    # It begins with words.
    (first, *_) = re.findall(r"<h2.*?>(.*?)</h2>(.*?)(?=<h2)", text, re.DOTALL)
    head = text.partition("<nav")[0]
    assert first[0] == "Verdict" and "Usable: it misses 0 of 100 clean recordings." in head
    missed = re.findall(r"<tr><td>(.*?)</td><td>(.*?)<small>(.*?)</small>", first[1])
    assert missed == [
        ("clean", "none of 20", "[0.0, 0.0] %"),
        ("noise 0 dB", "2 in 10", "[10.0, 40.0] %"),
        ("music, SER 0 dB", "3 in 10", "[15.0, 60.0] %"),
    ]
    assert "<li>music: one in 1.3 hours [0.5, 10.0]</li>" in first[1]
    assert "toil &amp; boil (10 %)" in first[1] and "signal-to-echo ratio" in first[1]
    assert "a &lt;peer&gt; misses 33.3 % of these trials" in first[1]
    assert "<td>music</td><td>0.25</td><td>1</td><td>&lt;CC0&gt;</td>" in text
    # Every figure has a label of what it shows.
    alts = [str(given["aria-label"]) for _, given in page.tags if given.get("role") == "img"]
    assert len(alts) == 2 + 3 + 1 + 1 and all(len(alt) > 30 for alt in alts)
    assert "music, SER 0 dB: Wakestate 30.0 %, a <peer> 60.0 %, plain 30.0 %" in alts[0]
    # Text from outside is escaped, colors are the page's own.
    assert text.count(FLOAT) == 1  # in its table, in no figure
    assert "a &lt;peer&gt;" in text and "<peer>" not in text and "toil &amp; boil" in text
    assert "#0500" not in text and "#0100" not in text
    assert "<td>40.0<small>[20.0, 80.0]</small></td>" in text
    pngs = sorted(p.name for p in path.parent.glob("*.png"))
    assert pngs == ["bands-1.png", "det.png", "overview.png", "scores-1.png"]
    assert {p.suffix for p in path.parent.iterdir()} == {".png", ".html"}


def test_another_measurement_cannot_stand_beside(found: Evaluated) -> None:
    other = found.model_copy(deep=True)
    other.rows[1].clips = 21
    with pytest.raises(DataError, match="plain: not measured as this was in 'noise 0 dB'"):
        join(found, "plain", other)
    other.rows[1].clips = 20
    other.rows[1].crossed["0.5"].missed = "1" * 8 + "0" * 12
    text = comparison("toy", found, "plain", other)[0].markdown()
    # One voice differs: either sign of its difference is as large, so p is 1.
    assert "| noise 0 dB | 20.0 | 40.0 | -20.0 [-60.0, +0.0] | 1.000 | 0 : 4 |" in text
    assert "| clean | 0.0 | 0.0 | +0.0 [+0.0, +0.0] | 1.000 | 0 : 0 |" in text
    other.trials = "xyz"
    with pytest.raises(DataError, match="plain: not measured as this was in 'clean'"):
        comparison("toy", found, "plain", other)


def test_what_is_written_is_read_back(found: Evaluated, tmp_path: Path) -> None:
    path = tmp_path / "evaluate.json"
    write(found, path)
    assert read(path) == found
    lines = path.read_text().splitlines()
    assert lines[1] == f' "schema_version": {SCHEMA_VERSION},'
    assert sum('{"condition": {"name": ' in line for line in lines) == len(found.rows)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("{", r"is no JSON: .*; remove it, and `wakestate evaluate` makes it again"),
        ("[]", "is no JSON object; remove it"),
        ({"schema_version": 3}, "schema_version: given 3; this version reads 4; remove it"),
        ({"schema_version": None, "version": 3}, "schema_version: given None; this version reads"),
        ({"rows": []}, "rows: given .*; remove it"),
        ({"draws": "many"}, "draws: given 'many'; allowed: .*; remove it"),
        ({"draws": "many", "seed": "x"}, r"seed: given 'x'; .* \(and 1 more\); remove it"),
        ({"sneed": 1}, "sneed: unknown key; allowed: .*seed"),
    ],
)
def test_a_damaged_result_is_one_line(
    found: Evaluated, tmp_path: Path, changed: str | dict[str, Any], message: str
) -> None:
    path = tmp_path / "evaluate.json"
    content = found.model_dump(mode="json")
    path.write_text(changed if isinstance(changed, str) else json.dumps(content | changed))
    with pytest.raises(DataError, match=rf"evaluate\.json: {message}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_result_without_a_version_is_an_older_one(found: Evaluated, tmp_path: Path) -> None:
    path = tmp_path / "evaluate.json"
    content = found.model_dump(mode="json")
    del content["schema_version"]
    path.write_text(json.dumps(content | {"version": 2}))
    with pytest.raises(DataError, match=r"schema_version: given 2; this version reads 4"):
        read(path)


def test_report_measures_only_what_is_missing(
    sounds: Path,
    more: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    library = build("toy", "host").folder / "libwakestate.so"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "CACHE", cache)

    def report(*added: str) -> tuple[str, str]:
        call = typed_example(
            "report",
            {"alexa": TOY.word_path, "data/alexa": sounds},
            *("--also", more, "--no-float", "--library", library, "--model", TOY.folder),
            *("--out", "out", "--draws", "1", "--echo", "high=0"),
        )
        assert main([*call, *added]) == 0
        return capsys.readouterr()

    out, err = report()
    assert "evaluate.json: not there yet; evaluating" in err
    page = Path("out/report/report.html")
    assert out.splitlines()[-1] == str(page)
    before, made = Path("out/evaluate.json").read_bytes(), page.read_text()
    _, err = report()
    assert "evaluating" not in err
    assert Path("out/evaluate.json").read_bytes() == before and page.read_text() == made
    _, err = report("--seed", "2")
    assert "seed is 1, wanted 2; evaluating" in err
    assert Path("out/evaluate.json").read_bytes() != before


def test_an_experiment_is_a_table_of_its_runs(
    sounds: Path,
    more: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """With the least of everything, in this process; of two, one is a copy of the other."""
    from wakestate.train.experiments import runs
    from wakestate.train.learning import fit, pool
    from wakestate.train.learning.fit import Budget

    place, calls = tmp_path / "experiment", []

    def train_here(
        _: Any, jobs: list[tuple[str, int]], *names: str, shared: runs.Plan, **more: Any
    ) -> None:
        assert jobs == [("none", 1), ("both", 1)]
        (place / "none-1").mkdir()
        plan = replace(shared, scenes=place / "pool")
        runs._train(plan, jobs[0], place / "none-1")

    def run(*call: str, tensorflow: bool = False) -> None:
        calls.append(call[0])
        if (place / "none-1/evaluate.json").is_file():
            shutil.copytree(place / "none-1", place / "both-1", dirs_exist_ok=True)
        else:
            assert main([*call, *(["--draws=1"] if call[0] == "evaluate" else [])]) == 0

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "CACHE", cache)
    monkeypatch.setattr(pool, "SHARD", 20)
    monkeypatch.setattr(runs, "SHARD", 20)
    monkeypatch.setattr(runs, "in_parallel", train_here)
    monkeypatch.setattr(fit, "Budget", lambda **_: Budget(20, 20, 0, 20, 20, 1, 0, 1, 12))
    monkeypatch.setattr(experiment, "other_process", run)
    monkeypatch.setattr(train, "other_process", run)
    files = {"alexa": TOY.word_path, "data/alexa": sounds, "1 2": "1"}
    assert main(typed_example("model experiment", files, "--out", place, "--also", more)) == 0
    table = capfd.readouterr().out
    assert calls == ["model", "evaluate"] * 2
    assert "| none |" in table and "| both |" in table, table
    evaluated = read(place / "none-1/evaluate.json")
    assert evaluated.word == "toy" and evaluated.short and evaluated.rows


def test_a_short_evaluation_has_a_page(found: Evaluated, tmp_path: Path) -> None:
    found.confusables, found.short, found.synthesized = [], True, 20
    found.rows = found.of("sound", "state")
    results = tmp_path / "evaluate.json"
    write(found, results)
    page = write_report(TOY.word, TOY.folder, results, tmp_path, tmp_path / "none", []).read_text()
    assert page.count("Left out: this is the short evaluation.") == 2 and 'id="bands"' not in page
    assert "20 by 5 voices, 20 synthesized" in page


def test_what_wakes_it_often_is_counted_in_minutes(found: Evaluated) -> None:
    rates = {"hours": 0.5, "false_accepts": 5, "low": 4.0, "high": 20.0}
    often = found.states[0].model_copy(update=rates)
    assert in_hours(often) == "one in 6.0 minutes [3.0, 15.0]"


def test_what_to_expect_of_a_new_word_is_said_in_words(found: Evaluated) -> None:
    (one,) = found.confusables
    itself = {"phrase": TOY.word.phrase, "fired": {OURS: {"shipped": 10}}}
    clips = {"source": "clip", "tries": 5, "fired": {OURS: {"shipped": 2}}}
    found.confusables = [one.model_copy(update=itself), one, one.model_copy(update=clips)]
    found.half_hours = [1.0, 1.5]
    text = outcome(TOY.word, found, short=False, judged=False)
    lines = text.splitlines()
    assert lines[0].endswith(
        "20 recordings by 5 synthetic voices that training never read; 2.5 h of sound without it"
    )
    assert lines[2] == "Usable: it misses 0 of 100 clean recordings."
    assert [line.split("  ")[0] for line in lines[5:8]] == [
        "clean",
        "noise 0 dB",
        "music, SER 0 dB",
    ]
    assert re.search(r"^music, SER 0 dB +30.0 \[15.0, 60.0\] +0.75 \[0.10, 2.00\]$", text, re.M)
    assert "Phrases that fool it: toil & boil (20 %)\n" in text  # 1 of 10 and 2 of 5
    assert "Woke it without the word: a <toy> in the shop" in text
    assert "no person has said it yet" in text and "name more of them" in text
    assert "2.5 h cannot tell 0.5 false wakes an hour from 2.0" in text
    assert "`--recipe standard`" in outcome(TOY.word, found, short=True, judged=True)
    clean = found.rows[0].crossed["0.5"]
    for share, begin in ((0.2, "It works at times: it misses 20 of"), (0.6, "Not usable as it is")):
        found.rows[0].crossed["0.5"] = clean.model_copy(update={"frr": share})
        text = outcome(TOY.word, found, short=False, judged=True)
        assert f"\n\n{begin}" in text and "a longer phrase" in text
    found.rows[0].crossed["0.5"] = clean
    found.half_hours, found.confusables, found.false_accepts = [9.0, 9.0], [], []
    found.rows = found.rows[:2]
    text = outcome(TOY.word, found, short=False, judged=True)
    assert "by 5 people;" in text and "fool" not in text and "nothing that is known" in text


def test_only_people_are_called_people(found: Evaluated) -> None:
    (one,) = found.confusables
    for source, name in (("synthetic", "synthetic"), ("clip", "clips"), ("recorded", "people")):
        given = {"phrase": "toil", "source": source, "tries": 4}
        found.confusables = [one.model_copy(update=given)]
        text = next(t for t in tables(found) if t.title == "Confusable phrases").markdown()
        assert f"| toil {name} | 4 |" in text and ("eople" in text) == (source == "recorded")


@pytest.mark.parametrize("decibels", [True, False])
def test_bands_are_shown_where_they_are_decibels(decibels: bool, tmp_path: Path) -> None:
    """Those of microWakeWord's front end are none."""
    given = row("player=music SER 0 dB", "state", 6, state="player=music", ser_db=0.0)
    one = Row.model_validate(given if decibels else given | {"lfbe_db": []})
    hz = [100.0 * (1 + i) for i in range(TOY.word.frontend.bands)]
    assert len(page._bands([one], one, hz, tmp_path)) == decibels
