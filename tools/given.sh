#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Says what a goal lacks before anything is installed or built: a word file, recordings, a file.
# The Makefile hands over all in the environment; AUDIO and TFLITE only as whether they are given.
set -eu

fail() {
    echo "$*" >&2
    exit 2
}
for goal in $GOALS; do
    case $goal in
    run | build | emulate | qemu | size | flash | monitor | debug | data | train | evaluate | report | \
        demo | site | bench | bench-diff)
        for word in $WORD; do
            case $word in *.toml | *.wakestate | */*) file=$word ;; *) file=words/$word.toml ;; esac
            [ -f "$file" ] || fail "$file: no such word file; there are:" \
                "$(cd words && for file in *.toml; do printf '%s ' "${file%.toml}"; done)"
        done
        ;;
    esac
    case $goal in
    size | data | train | evaluate | report | bench | bench-diff)
        [ "${WORD#* }" = "$WORD" ] || fail "WORD=\"$WORD\": make $goal takes one word"
        ;;
    esac
    case $goal in
    train | evaluate | report)
        [ -f "$DATA/manifest.csv" ] || fail "$DATA/manifest.csv: not found; name a folder" \
            "with recordings: make $goal WORD=$WORD DATA=FOLDER; \`make data WORD=$WORD\` makes data/$WORD"
        ;;
    esac
    case $goal in
    qemu | emulate) [ -n "$AUDIO" ] || fail "AUDIO is not given: make $goal AUDIO=x.wav" ;;
    compile) [ -n "$TFLITE" ] || fail "TFLITE is not given: make compile TFLITE=model.tflite" ;;
    esac
    case $goal in
    run | qemu) [ "$BOARD" != host ] || fail "BOARD=host is this computer: take a board that QEMU has" \
        "(BOARD=mps2-an386) or use make emulate" ;;
    esac
done
