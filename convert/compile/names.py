# SPDX-License-Identifier: Apache-2.0
"""C names for compiled models, made of file names: `python -m convert.compile.names FILE`."""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path

from wakestate.convert.graph.errors import ConvertError

#: What a name must not be: words of C and C++, and names that C's headers define; and headers,
#: since `#include <string.h>` would find a string.h that is ours.
_WORDS = """
alignas alignof and and_eq asm atomic auto bitand bitor bool break case catch char char8_t char16_t
char32_t class co_await co_return co_yield compl complex concept const const_cast consteval
constexpr constinit continue decltype default delete do double dynamic_cast else enum errno explicit
export extern false final float for fortran friend goto i386 if imaginary import inline int linux
long main module mutable namespace new noexcept noreturn not not_eq null nullptr operator or or_eq
override private protected public register reinterpret_cast requires restrict return short signed
sizeof static static_assert static_cast struct switch template this thread_local throw true try
typedef typeid typename typeof union unix unsigned using virtual void volatile wakestate while xor
xor_eq

int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t intptr_t uintptr_t intmax_t
uintmax_t size_t ssize_t ptrdiff_t wchar_t max_align_t va_list

arm_acle arm_mve assert ctype fenv inttypes iso646 limits locale math setjmp signal stdalign stdarg
stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings tgmath threads time uchar
unistd wchar wctype
"""
RESERVED = frozenset(_WORDS.split())
MAX_LENGTH = 60


def model_name(path: Path) -> str:
    """A C name made of a file's: its letters and digits, with model_ where it would be none."""
    plain = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[: MAX_LENGTH - 10].strip("_")
    return name if fits(name) else f"model_{name}".strip("_")


def fits(name: str) -> bool:
    """It can be the name of C files, a struct and functions."""
    plain = re.fullmatch(rf"[a-z][a-z0-9_]{{0,{MAX_LENGTH - 1}}}", name)
    return plain is not None and not name.startswith("ws_") and name not in RESERVED


def check_name(name: str) -> None:
    """ConvertError where it does not fit."""
    if not fits(name):
        raise ConvertError(
            f"name {name[:80]!r}: a C name of a-z, 0-9 and _, {MAX_LENGTH} at most, is needed, no "
            "word of C or C++, none of its headers or types and not ws_...; hint: --name my_model"
        )


if __name__ == "__main__":
    print(model_name(Path(sys.argv[1])))
