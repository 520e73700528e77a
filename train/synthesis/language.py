# SPDX-License-Identifier: Apache-2.0
"""Languages other than English: which there are, and how espeak-ng pronounces them.

Measuring needs the list of voices alone, so what only synthesis installs is imported where used.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import itertools
import re
import shutil
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import ClassVar

import numpy as np

from wakestate.train.synthesis.engine import (
    ENGLISH,
    PhraseError,
    check_speakable,
    letter_name,
    refuse_letters,
    run_program,
)

#: Where espeak-ng or wordfreq has another code than the usual one.
ESPEAK_CODES = {"zh": "cmn", "no": "nb"}
WORDFREQ_CODES = {"cmn": "zh", "no": "nb", "hr": "sh", "bs": "sh", "sr": "sh"}
#: What the names of letters begin with, by script; of other scripts espeak-ng alone judges.
LETTERS = {
    "Latn": ("LATIN", "FEMININE ORDINAL", "MASCULINE ORDINAL"),
    "Cyrl": ("CYRILLIC",),
    "Grek": ("GREEK",),
    "Arab": ("ARABIC", "ZERO WIDTH NON-JOINER"),
    "Hebr": ("HEBREW",),
    "Deva": ("DEVANAGARI",),
    "Kore": ("HANGUL",),
    "Hans": ("CJK",),
    "Hant": ("CJK",),
    "Jpan": ("HIRAGANA", "KATAKANA"),  # espeak-ng cannot read the others
}
PUNCTUATION = " '’-.,!?&¿¡…·،؟۔।、。！？"
SWITCH = re.compile(r"\([a-z][a-z0-9-]*\)")  # espeak-ng reads on by another language's rules
COMMON_WORDS = 2000  # that sentences are made of


class LanguageError(PhraseError):
    """No voice here speaks a language; the text names it, what was looked for, what to install."""


def dialects(language: str) -> tuple[str, ...]:
    """What espeak-ng calls a language, the usual form first; then its regional forms."""
    base, _, region = language.partition("-")
    base = ESPEAK_CODES.get(base, base)
    code = f"{base}-{region}" if region else base
    found = [c for c in _codes() if c == code or (c.startswith(f"{code}-") and "-latn" not in c)]
    return tuple(sorted(found, key=lambda c: (c != code, c != f"{code}-{code}", c)))


@cache
def _codes() -> tuple[str, ...]:
    if not shutil.which("espeak-ng"):
        return ()
    rows = run_program(["espeak-ng", "--voices"]).splitlines()[1:]
    return tuple(dict.fromkeys(row.split()[1].lower() for row in rows))


def check_language(where: str, language: str) -> None:
    """LanguageError where nothing here can speak a language, or pronounce it."""
    if language == ENGLISH:
        return
    if language.startswith(f"{ENGLISH}-"):
        raise LanguageError(f"{where}: given '{language}'; allowed: en, spoken with many accents")
    if not shutil.which("espeak-ng"):
        raise LanguageError(
            f"{where}: given '{language}': all languages but English need espeak-ng, which "
            "pronounces them: apt-get install espeak-ng"
        )
    if not dialects(language):
        raise LanguageError(
            f"{where}: given '{language}': no voice here speaks it: it is not among the "
            f"{len(_codes())} languages of `espeak-ng --voices`, whose rules Kokoro and Piper need "
            "too; of recordings by people `wakestate train` learns any language"
        )


def check_letters(where: str, text: str, language: str) -> None:
    """PhraseError where voices of a language would spell, guess or leave out letters of `text`."""
    if language == ENGLISH:
        check_speakable(where, text)
        return
    letters = LETTERS.get(_script(language), ("",))
    odd = [
        c
        for c in dict.fromkeys(unicodedata.normalize("NFC", text))
        if not (c.isdigit() or c in PUNCTUATION)
        and not (unicodedata.category(c)[0] in "LMC" and letter_name(c).startswith(letters))
    ]
    refuse_letters(where, text, odd, f"voices of '{language}'", "its letters")
    # A foreign word may be read as such; one of another script has no rules here.
    if _script(language) != "Latn" and (match := SWITCH.search(_read(text, language))):
        raise PhraseError(
            f"{where}: '{text}': espeak-ng has no rules of '{language}' for it; it reads it as "
            f"'{match[0][1:-1]}'; give spellings that it reads in [data] say, or record people"
        )


def plain(text: str) -> str:
    """A text's words in small letters, without its punctuation."""
    marks = PUNCTUATION.replace("'", "").replace("’", "")
    return " ".join(text.lower().translate(dict.fromkeys(map(ord, marks), " ")).split())


@cache
def _script(language: str) -> str:
    import langcodes

    return langcodes.Language.get(language).maximize().script or "Latn"


class _Voice(ctypes.Structure):
    """espeak_VOICE of espeak-ng's speak_lib.h."""

    _fields_: ClassVar = [
        *((name, ctypes.c_char_p) for name in ("name", "languages", "identifier")),
        *((name, ctypes.c_ubyte) for name in ("gender", "age", "variant", "xx1")),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


@cache
def _library() -> ctypes.CDLL:
    name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
    library = ctypes.CDLL(name)
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_Initialize(2, 0, None, 0)  # synchronous, nothing is played
    return library


def _read(text: str, language: str) -> str:
    """IPA with "_" between phonemes, as espeak-ng reads a text; it synthesizes nothing."""
    library = _library()
    voice = _Voice(languages=dialects(language)[0].encode())
    if library.espeak_SetVoiceByProperties(ctypes.byref(voice)):
        raise LanguageError(f"espeak-ng: cannot read '{language}'; reinstall espeak-ng-data")
    pointer = ctypes.c_char_p(text.encode())
    parts = []
    while pointer.value is not None:  # a clause at a time
        read = library.espeak_TextToPhonemes(ctypes.byref(pointer), 1, 0x02 | ord("_") << 8)
        parts.append((read or b"").decode(errors="replace"))
    return " ".join(parts)


def phonemes(text: str, language: str) -> tuple[str, ...]:
    """Phonemes of a text in IPA, without stress, tones and marks of other languages."""
    plain = re.sub(r"[ˈˌ0-9ˑ.|-]", "", SWITCH.sub("_", _read(text, language)))
    return tuple(p for p in re.split(r"[_\s]+", plain) if p)


def frequencies(language: str) -> dict[str, float]:
    """Share of each word in what is written and said; empty where wordfreq has no list."""
    import wordfreq

    base = language.partition("-")[0]
    code = WORDFREQ_CODES.get(base, base)
    known = code in wordfreq.available_languages("best")
    return wordfreq.get_frequency_dict(code) if known else {}


def zipf(text: str, language: str) -> float:
    """log10 of how often the rarest word of a text is among 10^9; 0 where it is not known."""
    import wordfreq

    known = frequencies(language)
    return min(
        wordfreq.freq_to_zipf(known[word]) if word in known else 0.0 for word in text.split()
    )


def common_words(language: str, count: int) -> list[str]:
    """The most frequent words of a language, without numbers and marks."""
    letters = LETTERS.get(_script(language), ("",))
    own = (
        word
        for word in frequencies(language)
        if all(
            unicodedata.category(c)[0] in "LM" and letter_name(c).startswith(letters) for c in word
        )
    )
    return list(itertools.islice(own, count))


def word_sequences(language: str, count: int = 400) -> list[str]:
    """Three to seven common words in a row, no sentences: what else a voice may say."""
    words, rng = common_words(language, COMMON_WORDS), np.random.default_rng(1)
    return [_sequence(rng, words) for _ in range(count if words else 0)]


def _sequence(rng: np.random.Generator, words: Sequence[str]) -> str:
    drawn = rng.integers(len(words), size=int(rng.integers(3, 8)))
    return f"{' '.join(words[int(i)] for i in drawn)}."
