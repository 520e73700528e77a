#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what building and emulating need and this machine lacks, by apt-get. Says what first.
# setup.sh speech: also the speech engines that make data; voices: and npm, which has Kokoro's.
# setup.sh fuzz: also clang and libFuzzer. setup.sh web: also clang and its linker, for WebAssembly.
# setup.sh tests: what web needs, and CMake, for exports.
set -eu

fail() {
    echo "setup: $*" >&2
    exit 1
}

command -v python3 >/dev/null || fail "python3 is missing; Python 3.11 or newer is needed"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$(python3 --version) is too old; Python 3.11 or newer is needed"

missing=""
need() { # PACKAGE COMMAND...: the package is missing when the command fails
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}
finds_header() {
    echo '#include <stdio.h>' | gcc -E -
}
finds_newlib() { # the name comes back bare when there is no such file
    [ -f "$(arm-none-eabi-gcc -print-file-name=nano.specs)" ]
}
need python3-venv python3 -c 'import ensurepip, venv'
need gcc command -v gcc
need libc6-dev finds_header
need gcc-arm-none-eabi command -v arm-none-eabi-gcc
need libnewlib-arm-none-eabi finds_newlib
need qemu-system-arm command -v qemu-system-arm
case ${1-} in
speech | voices)
    need espeak-ng command -v espeak-ng
    need flite command -v flite
    ;;
esac
[ "${1-}" != voices ] || need npm command -v npm
case ${1-} in
web | tests)
    need clang command -v clang
    need lld command -v wasm-ld
    ;;
esac
[ "${1-}" != tests ] || need cmake command -v cmake
finds_libfuzzer() { # and the sanitizers' libraries
    echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { (void)d; return n < 0; }' |
        clang -fsanitize=fuzzer,address,undefined -x c - -o /dev/null
}
if [ "${1-}" = fuzz ]; then
    need clang command -v clang
    # Its runtime's package has the compiler's version in its name: once that is known.
    [ -n "$missing" ] || need "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev" finds_libfuzzer
fi

[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || fail "there is no apt-get here; install the like of:$missing"
if [ "$(id -u)" -eq 0 ]; then
    as_root="env"
elif command -v sudo >/dev/null; then
    as_root="sudo env"
else
    fail "neither root nor sudo; as root run: apt-get install$missing"
fi
echo "setup: installing by apt-get:$missing"
# Without recommended packages: QEMU's bring a desktop, the compiler's 1.5 GB of C++.
mkdir -p build
log=build/setup.log
quiet() { "$@" >$log 2>&1 || { cat $log >&2; fail "'$*' failed, see above"; }; }
quiet $as_root DEBIAN_FRONTEND=noninteractive apt-get update -qq
# shellcheck disable=SC2086  # a list of words
LC_ALL=C apt-get install --assume-no --no-install-recommends $missing 2>/dev/null |
    sed -n 's/^\(Need to get\|After this operation,\) /setup: &/p' || true
# shellcheck disable=SC2086
quiet $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
# What is still missing is known only now.
[ "${1-}" != fuzz ] || [ -n "${WS_SETUP_AGAIN-}" ] || WS_SETUP_AGAIN=yes exec sh "$0" fuzz
