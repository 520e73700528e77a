# SPDX-License-Identifier: Apache-2.0
"""What each build system expects: where files lie. What is in them: templates/export/FORM/."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """The layout of an exported library, paths in it."""

    headers: str  # folder of the public headers
    example: str  # folder of the example's source and of its recording
    test: str  # folder of test.c
    public: str = "wakestate/wakestate.h"  # the engine's header, as it is included
    one_header: str = ""  # what programs include instead of that and of the words'
    reads_files: bool = False  # the example reads recordings; else one is compiled into it


FORMS = {
    "plain": Form("include", "example", "test", reads_files=True),
    "cmake": Form("include", "example", "test", reads_files=True),
    "zephyr": Form("include", "samples/wakes/src", "tests/wakestate"),
    "arduino": Form(
        "src", "examples/Sample", "extras/test", "wakestate_engine.h", one_header="Wakestate.h"
    ),
    "platformio": Form("include", "examples/wakes/src", "test", reads_files=True),
    "esp-idf": Form("include", "examples/wakes/main", "test"),
    "cmsis-pack": Form("include", "example", "test"),
}
