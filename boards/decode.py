"""Recordings that are no WAV (Opus, FLAC, ...) become one, as the emulator hears WAV only."""

from __future__ import annotations

from pathlib import Path

from boards.schema import BoardError


def decode(audio: Path, out: Path) -> None:
    """Write `audio` as 16-bit WAV; rate and channels stay, so that the emulator judges them."""
    import soundfile  # not in the base install

    if not audio.is_file():
        raise BoardError(f"{audio}: cannot be opened; does the file exist?")
    try:
        samples, rate = soundfile.read(audio, dtype="int16")
    except (soundfile.LibsndfileError, OSError) as error:
        raise BoardError(f"{audio}: cannot be decoded: {error}") from None
    out.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(out, samples, rate, subtype="PCM_16")
