#!/bin/sh
# Says what a goal lacks before anything is installed or built: a word file, recordings, a file.
# The Makefile hands over all in the environment; AUDIO and TFLITE only as whether they are given.
set -eu

fail() {
    echo "$*" >&2
    exit 2
}
for goal in $GOALS; do
    case $goal in
    run | build | emulate | qemu | size | flash | monitor | debug | data | train | experiment | scenes | \
        evaluate | report | lengths | bench | bench-* | verify-* | first-of-two | demo-two-stage)
        for word in $WORD; do
            [ -f "words/$word.toml" ] || fail "words/$word.toml: no such word file; there are:" \
                "$(cd words && for file in *.toml; do printf '%s ' "${file%.toml}"; done)"
        done
        ;;
    esac
    case $goal in
    size | data | train | experiment | scenes | evaluate | report | clips | compare | lengths | bench | \
        bench-* | verify-* | first-of-two | demo-two-stage)
        [ "${WORD#* }" = "$WORD" ] || fail "WORD=\"$WORD\": make $goal takes one word"
        ;;
    esac
    case $goal in
    train | experiment | scenes | evaluate | report | lengths | bench-host | \
        verify-train | verify-limits | verify-measure | verify-experiment)
        for folder in "$DATA" $MORE_DATA; do
            [ -f "$folder/manifest.csv" ] || fail "$folder/manifest.csv: not found; name a folder" \
                "with recordings: make $goal WORD=$WORD DATA=FOLDER; \`make data WORD=$WORD\` makes data/$WORD"
        done
        ;;
    esac
    case $goal in
    emulate | qemu) [ -n "$AUDIO" ] || fail "AUDIO is not given: make $goal AUDIO=x.wav" ;;
    compile) [ -n "$TFLITE" ] || fail "TFLITE is not given: make compile TFLITE=model.tflite" ;;
    esac
    case $goal in
    run | qemu) [ "$BOARD" != host ] || fail "BOARD=host is this computer: take a board that QEMU has" \
        "(BOARD=mps2-an386) or use make emulate" ;;
    esac
done
