# SPDX-License-Identifier: Apache-2.0
"""The fuzz target of the model loader: an input is a .tflite file, read, checked and compiled.

Right is a program or a ConvertError; anything else is a finding. Run by tests/fuzz/targets.py under
Atheris, libFuzzer for Python; alone: python -m tests.fuzz.loader FILE shows a finding again.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["convert", "tflite", "flatbuffers"]):
    from wakestate.convert.compile.emit import compile_model
    from wakestate.convert.graph.errors import ConvertError
    from wakestate.explain import one_line


def check(data: bytes) -> None:
    """Compile one file's bytes; a refusal must be one line."""
    path = Path(tempfile.gettempdir()) / f"loader-{os.getpid()}.tflite"
    path.write_bytes(data)
    try:
        compile_model(path, "k", "plain")
    except ConvertError as error:
        text = str(error)
        assert text == one_line(text), f"not one line: {text!r}"
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
