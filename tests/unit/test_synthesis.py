# SPDX-License-Identifier: Apache-2.0
"""Data by synthesis: confusables, the script, the engines that are here, packages, resuming."""

from __future__ import annotations

import csv
import json
import shutil
import struct
import subprocess
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.examples import typed_example
from tests.support.small_data import beep
from wakestate.__main__ import main
from wakestate.train.data.corpus import RATE, DataError, load_corpus
from wakestate.train.synthesis import make, recorded
from wakestate.train.synthesis.confusables import confusables, distance, pronounce
from wakestate.train.synthesis.engine import Engine, PhraseError, Speech, to_int16_at
from wakestate.train.synthesis.espeak import Espeak
from wakestate.train.synthesis.flite import Flite
from wakestate.train.synthesis.kokoro import Kokoro
from wakestate.train.synthesis.language import check_language, check_letters
from wakestate.train.synthesis.make import SynthesisConfig, groups, make_data, speakable
from wakestate.train.synthesis.piper import Piper
from wakestate.train.synthesis.readers import READERS
from wakestate.train.synthesis.recorded import Source, as_opus
from wakestate.train.synthesis.script import Cast, Counts, Line, write_script
from wakestate.words import WordError, load_word

COUNTS = Counts(positives=14, confusables=6, general=4)


class Tone(Engine):
    """Two steady tones a word: quick, and the same everywhere."""

    name, source, licence, timed = "tone", "made here", "CC0", True

    def missing(self) -> str:
        return ""

    def voices(self) -> list[str]:
        return [f"v{i}" for i in range(8)]

    def synthesize(self, text: str, voice: str, speed: float) -> Speech:
        pitch, length = 200 + 50 * int(voice[1:]), 0.3 / speed
        words, parts = [], [np.zeros(RATE // 10)]
        for i, word in enumerate(text.split()):
            t = np.arange(int(length * RATE)) / RATE
            parts += [np.sin(2 * np.pi * (pitch + 40 * len(word)) * t), np.zeros(RATE // 5)]
            start = 0.1 + i * (length + 0.2)
            words.append((word, start, start + length))
        return Speech(to_int16_at(np.concatenate(parts).astype(np.float32), RATE), tuple(words))


def test_confusables_are_similar_and_never_the_phrase() -> None:
    ranked = confusables("alexa", 60)
    texts = [confusable.text for confusable in ranked]
    assert {"alexis", "election", "a lexus"} <= set(texts)
    assert [n.distance for n in ranked] == sorted(n.distance for n in ranked)
    assert len(texts) == len(set(texts)) == 60 and "alexa" not in texts
    phrase = pronounce("alexa")
    assert phrase == ("AH", "L", "EH", "K", "S", "AH") and distance(phrase, phrase) == 0
    # What is near to the ear is near by the measure, in this order.
    apart = [distance(pronounce(w), phrase) for w in ("alexis", "election", "elevator", "banana")]
    assert apart == sorted(apart) and apart[0] < 0.7 < 1.5 < apart[-1]


def test_the_same_seed_writes_the_same_script(tmp_path: Path) -> None:
    word, cast = beep(tmp_path, 10), Cast([Tone()])
    first = list(write_script(word, cast, ["bee", "peep"], COUNTS, 1))
    assert first == list(write_script(word, cast, ["bee", "peep"], COUNTS, 1))
    assert first != list(write_script(word, cast, ["bee", "peep"], COUNTS, 2))
    many = list(write_script(word, cast, ["bee", "peep"], Counts(200, 100, 50), 1))
    assert set(first) <= set(many)  # asking for more changes none of them
    assert len({line.stem for line in many}) == 350
    voices = {split: {x.voice for x in many if x.split == split} for split in ("train", "dev")}
    assert voices["dev"] and not voices["dev"] & voices["train"]
    for line in many[:200]:
        speech = line.text.lower().split()
        phrase = " ".join(speech[max(0, line.at) : max(0, line.at) + line.words])
        assert phrase.strip(",.?!") == "beep"


def test_accents_are_of_phrases_said_alone_and_change_nothing_else(tmp_path: Path) -> None:
    class Foreign(Tone):
        accents = ("es", "it")

    word, counts = beep(tmp_path, 10), Counts(200, 100, 50)
    plain = list(write_script(word, Cast([Tone()]), ["bee", "peep"], counts, 1))
    mixed = list(write_script(word, Cast([Foreign()]), ["bee", "peep"], counts, 1))
    accents = {"es": 0, "it": 0}
    for one, other in zip(plain, mixed, strict=True):
        accent, _, voice = other.voice.rpartition("/")
        assert replace(other, voice=voice) == one
        if accent:
            accents[accent] += 1
            assert other.label != "general" and len(other.text.split()) == 1
    assert all(count > 15 for count in accents.values())


def line(text: str, at: int, words: int) -> Line:
    return Line("train", "x", text, at, words, "tone", "v0", 1.0, 1.0, 0.1, 0.1)


def test_the_phrase_is_found_among_the_words_an_engine_reports() -> None:
    three = Speech(np.zeros(0, np.int16), (("a", 0.0, 0.2), ("b", 0.3, 0.4), ("c", 0.5, 0.9)))
    assert groups(line("Ab cd ef", 0, 2), three) == [("", 0.0, 0.4), ("c", 0.5, 0.9)]
    assert groups(line("Ab cd ef", 1, 1), three)[1] == ("", 0.3, 0.4)  # type: ignore[index]
    # "of the" reported as one word: counted from the end that the phrase is at.
    assert groups(line("Ab of the ef", 3, 1), three)[-1] == ("", 0.5, 0.9)  # type: ignore[index]
    assert groups(line("Ab cd of the", 1, 1), three) is None
    assert groups(line("Ab cd", 0, 2), Speech(three.pcm)) == []  # nothing else is said
    assert groups(line("Ab cd ef", 0, 2), Speech(three.pcm)) is None


def test_cutting_and_pitch_keep_words_in_their_place() -> None:
    plain = Tone().speak("one two", "v0", 1.0, 1.0)
    cut = plain.cut(0.05, 0.3)
    assert cut.words is not None and plain.words is not None
    assert cut.words[0][1] == pytest.approx(0.05, abs=0.002)
    assert len(cut.pcm) / RATE == pytest.approx(cut.words[1][2] + 0.3, abs=0.002)
    high = Tone().speak("one two", "v0", 1.0, 1.1)
    assert high.words is not None  # as long but for the pauses, and higher
    assert high.words[0][2] - high.words[0][1] == pytest.approx(0.3, abs=0.001)
    tone = high.pcm[int(high.words[0][1] * RATE) :][: int(0.25 * RATE)]
    peak = np.argmax(np.abs(np.fft.rfft(tone))) / 0.25
    assert peak == pytest.approx(1.1 * 320, abs=4)


VOICES = Path(__file__).parents[2] / "downloads/voices"
ENGINES = [Espeak(), Flite(), Kokoro(VOICES / "kokoro"), Piper(VOICES / "piper")]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_an_engine_speaks_the_same_twice_and_reports_its_words(engine: Engine) -> None:
    if engine.missing():
        pytest.skip(engine.missing())
    voice = engine.draw(np.random.default_rng(3), engine.voices())
    slow, quick = (engine.speak("Good morning, alexa.", voice, s, 1.05) for s in (0.8, 1.25))
    again = engine.speak("Good morning, alexa.", voice, 0.8, 1.05)
    assert slow.pcm.dtype == np.int16 and np.array_equal(slow.pcm, again.pcm)
    assert np.abs(slow.pcm).max() > 8000
    assert 0.5 * RATE < len(quick.pcm) < len(slow.pcm) < 6 * RATE
    if engine.timed:
        assert slow.words is not None and len(slow.words) == 3
        edges = [t for _, start, end in slow.words for t in (start, end)]
        assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= len(slow.pcm) / RATE


def make_small(monkeypatch: pytest.MonkeyPatch, folder: Path, counts: Counts = COUNTS) -> Path:
    monkeypatch.setattr(make, "engines", lambda *_: [Tone()])
    monkeypatch.setattr(make, "confusables", lambda *_: [])
    path = folder / "beep.toml"
    beep(folder, 10)
    text = path.read_text().replace(
        "[data]", '[data]\nconfusables = ["bee", "peep"]\nstressed_core = "b"'
    )
    path.write_text(text)
    data = folder / "data"
    config = SynthesisConfig(counts, downloads=folder / "none", recorded="no")
    print(make_data(load_word(path), data, config).text)
    return data


def test_a_made_folder_is_read_by_training_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_small(monkeypatch, tmp_path)
    assert "| train | tts | near |" in capsys.readouterr().out
    manifest = (data / "manifest.csv").read_bytes()
    word = load_word(tmp_path / "beep.toml")
    corpus = load_corpus(data, "train", tmp_path / "decoded", word.data)
    positives = corpus.positives(word)
    with (data / "manifest.csv").open(newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert len(rows) == 24 and len(positives) == sum(
        row["label"] in word.data.positive and row["split"] == "train" for row in rows.values()
    )
    for clip in positives:  # one word of 0.24 to 0.38 s, whatever else is said
        assert 0.2 * RATE < clip.end - clip.start < 0.45 * RATE, rows[clip.path]["text"]
    assert corpus.negatives(word)

    clips = sorted((data / "train/tts").glob("*.opus"))
    times = {clip: clip.stat().st_mtime_ns for clip in clips}
    lost = clips[3]
    (data / "made/tone" / f"{lost.stem}.json").unlink()  # as after a kill
    (data / "manifest.csv").unlink()
    make_small(monkeypatch, tmp_path)
    assert (data / "manifest.csv").read_bytes() == manifest
    assert {c for c in clips if c.stat().st_mtime_ns != times[c]} == {lost}

    make_small(monkeypatch, tmp_path, Counts(4, 2, 1))  # fewer: what is too many goes
    assert len(list(data.glob("*/tts/*.opus"))) == 7


def test_a_folder_of_recordings_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/manifest.csv").write_text("mine")
    with pytest.raises(DataError, match="not made here"):
        make_small(monkeypatch, tmp_path)
    assert (tmp_path / "data/manifest.csv").read_text() == "mine"


def test_a_carrier_has_the_phrase_once(tmp_path: Path) -> None:
    beep(tmp_path, 10)
    path = tmp_path / "beep.toml"
    path.write_text(path.read_text().replace("[data]", '[data]\ncarriers = ["stop"]'))
    with pytest.raises(WordError, match=r"carriers.*given 'stop'; allowed: a sentence with {}"):
        load_word(path)


@pytest.mark.parametrize("samples", [800, 1001, 6543, 15999, 40000])
def test_opus_keeps_every_sample_in_its_place(tmp_path: Path, samples: int) -> None:
    t = np.arange(samples) / 16000
    speech = np.rint(8000 * np.sin(2 * np.pi * (300 + 200 * t) * t)).astype(np.int16)
    once = as_opus(speech)
    assert as_opus(speech) == once  # the same bytes, so that hashes can be compared
    (tmp_path / "x.opus").write_bytes(once)
    decoded, rate = soundfile.read(tmp_path / "x.opus", dtype="int16")
    assert rate == 16000 and decoded.shape == speech.shape
    middle = slice(samples // 4, -samples // 4)
    assert np.corrcoef(decoded[middle], speech[middle])[0, 1] > 0.98


def pack(tree: Path, deb: Path) -> None:
    """A Debian package of the files of a folder."""
    control = tree / "DEBIAN/control"
    control.parent.mkdir()
    control.write_text(
        "Package: prompts\nVersion: 1\nArchitecture: all\n"
        "Maintainer: A <a@b.c>\nDescription: test\n"
    )
    subprocess.run(["dpkg-deb", "-b", tree, deb], check=True, capture_output=True)


needs_dpkg = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not here")


@needs_dpkg
def test_sound_is_taken_from_a_package(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    share = tmp_path / "tree/usr/share/prompts"
    for name, rate, seconds in [
        ("en/a.wav", 8000, 1.0),
        ("en/b.ogg", 22050, 2.0),
        ("fr/c.flac", 44100, 1.5),
        ("fr/d.wav", 16000, 70.0),
    ]:
        path = share / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal((int(seconds * rate), 2)), rate)
    shutil.copy(share / "en/a.wav", share / "en/same.wav")
    (share / "en/broken.ogg").write_bytes(b"no sound")
    deb = tmp_path / "prompts.deb"
    pack(tmp_path / "tree", deb)
    source = Source("prompts", "speech", "CC0", dev="*/fr/*", speaker="folder", join=True)
    rows = recorded.extract(deb, source, tmp_path / "out")
    found = {(r["split"], r["speaker"]): float(r["seconds"]) for r in rows}
    assert found == {
        ("train", "prompts/en"): pytest.approx(1.0 + 2.0 + 2 * 0.4, abs=0.01),
        ("dev", "prompts/fr"): pytest.approx(1.5 + 70.0 + 2 * 0.4, abs=0.01),
    }
    for row in rows:
        info = soundfile.info(tmp_path / "out" / row["path"])
        assert (info.samplerate, info.channels) == (RATE, 1)
    with pytest.raises(DataError, match=r"nothing in it matches '\*\.mp3'"):
        recorded.extract(deb, Source("prompts", "speech", "CC0", files="*.mp3"), tmp_path / "out")
    some = Source("prompts", "speech", "CC0", dev="*/fr/*", seconds=1.25, max_files=1)
    rows = recorded.extract(deb, some, tmp_path / "some")
    assert [(r["split"], float(r["seconds"])) for r in rows] == [
        ("train", pytest.approx(1.0, abs=0.01)),
        ("dev", pytest.approx(1.25, abs=0.01)),
    ]


@needs_dpkg
@pytest.mark.skipif(not shutil.which("apt-get"), reason="apt-get is not here")
def test_a_part_of_the_benchmark_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "codec2-examples"
    (tmp_path / "tree/usr/share/codec2/wav").mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(1).standard_normal(RATE)
    soundfile.write(tmp_path / "tree/usr/share/codec2/wav/a.wav", noise, RATE)
    (tmp_path / "downloads/packages").mkdir(parents=True)
    pack(tmp_path / "tree", tmp_path / f"downloads/packages/{name}_2.1_all.deb")
    monkeypatch.chdir(tmp_path)
    call = [*typed_example("data benchmark", {}), "--package"]
    assert main([*call, name, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    with (tmp_path / made["manifest"]).open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["split"], row["kind"], row["source"]) == ("dev", "speech", f"debian: {name} 2.1")
    sound = (tmp_path / "data/benchmark" / row["path"]).read_bytes()
    assert row["sha256"] == sha256(sound).hexdigest()
    assert made["sha256"] == sha256(row["sha256"].encode()).hexdigest()
    assert main([*call, "codec3"]) == 1
    assert f"'codec3'; allowed: asterisk-prompt-it-menardi-wav, beneath-a-steel-sky, {name}, " in (
        capsys.readouterr().err
    )


def test_clips_are_read_from_a_queen_file(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    soundfile.write(tmp_path / "a.mp3", tone, RATE)
    clip = (tmp_path / "a.mp3").read_bytes()
    entries = [(b"020001P2.SB", clip), (b"PICTURE.PCX", b"xyz")]
    start = 15 + 21 * len(entries)
    head = b"QTBLCEM10\0\0\0\1" + struct.pack(">H", len(entries))
    for name, body in entries:
        head += struct.pack(">12sBII", name, 1, start, len(body))
        start += len(body)
    (tmp_path / "queen.1c").write_bytes(head + clip + b"xyz")
    found = dict(READERS["queen"](tmp_path / "queen.1c"))
    assert list(found) == ["020001P2.mp3"]
    x = recorded.decode(found["020001P2.mp3"], ".mp3")
    assert len(x) == pytest.approx(RATE, rel=0.15)
    assert np.argmax(np.abs(np.fft.rfft(x[:RATE]))) == pytest.approx(440, abs=3)


def test_the_table_of_packages_holds() -> None:
    table = recorded.sources()
    kinds = {"speech", "acted_speech", "device_speech", "music", "alarms", "noise"}
    assert {source.kind for source in table} == kinds
    assert len({source.name for source in table}) == len(table)  # each has a file of its own
    for source in table:
        assert source.licence and source.speaker in ("", "package", "folder")
        if source.speaker == "package":  # one voice: in one split
            assert source.dev in ("", "all"), source


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"phrase": "小爱同学"}, "phrase: '小爱同学': English voices cannot say '小' (CJK UNIFIED"),
        ({"phrase": "Grüße"}, "'ü' (LATIN SMALL LETTER U WITH DIAERESIS), 'ß' (LATIN"),
        ({"phrase": "\u0430lexa"}, "'\u0430' (CYRILLIC SMALL LETTER A)"),
        ({"phrase": "hey 🎤"}, "'🎤' (MICROPHONE)"),
        ({"phrase": "... !"}, "phrase: '... !': has no letter or digit"),
        ({"say": ("shau ai", "шяо")}, "data.say: 'шяо': English voices cannot say"),
        ({"confusables": ("élan",)}, "data.confusables: 'élan'"),
        ({"carriers": ("{}, où ça ?",)}, "data.carriers: 'it, où ça ?'"),
    ],
)
def test_what_the_voices_cannot_speak_is_refused_by_name(
    tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    word = load_word(Path("words/hey_samuel.toml"))
    data = word.data.model_copy(update={k: v for k, v in changes.items() if k != "phrase"})
    word = word.model_copy(update={"data": data, "phrase": changes.get("phrase", word.phrase)})
    with pytest.raises(PhraseError) as error:
        make_data(word, tmp_path / "made", SynthesisConfig(Counts(2, 0, 0), recorded="no"))
    assert problem in str(error.value) and error.value.status == 2
    assert not (tmp_path / "made").exists()


def test_spellings_stand_for_a_phrase_that_cannot_be_spoken() -> None:
    word = load_word(Path("words/hey_samuel.toml"))
    assert speakable(word) == word.phrase
    data = word.data.model_copy(update={"say": ("shau eye", "R2 D2's")})
    assert speakable(word.model_copy(update={"phrase": "小爱", "data": data})) == "shau eye"


needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not here")


@needs_espeak
@pytest.mark.parametrize(
    ("language", "text", "phones"),
    [
        ("es", "hola casa", "o l a k a s a"),
        ("fr", "maison", "m ɛ z ɔ̃"),
        ("de", "haus", "h aʊ s"),
        ("hi", "घर", "ɡʰ ʌ ɾ"),
    ],
)
def test_a_language_is_pronounced_by_its_own_rules(language: str, text: str, phones: str) -> None:
    check_letters("phrase", text, language)
    assert " ".join(pronounce(text, language)) == phones


@needs_espeak
def test_what_a_language_cannot_read_is_refused_by_name() -> None:
    with pytest.raises(PhraseError, match="voices of 'es' cannot say 'д'"):
        check_letters("phrase", "дом", "es")
    with pytest.raises(PhraseError, match="given 'tlh': no voice here speaks it"):
        check_language("data.language", "tlh")


def test_another_language_is_said_alone_by_voices_of_its_own(tmp_path: Path) -> None:
    assert "speaks English alone" in Flite("es").missing()
    assert (
        "not 'ja'" in Kokoro(tmp_path, "ja").missing()
        or "pip install" in Kokoro(tmp_path, "ja").missing()
    )
    word = beep(tmp_path, 10)
    data = word.data.model_copy(update={"language": "th"})  # has no list of words: no sentences
    word = word.model_copy(update={"data": data})
    made = list(write_script(word, Cast([Tone()]), [], Counts(30, 10, 10), 1))
    assert {line.text for line in made} == {"Beep."} and len(made) == 30
