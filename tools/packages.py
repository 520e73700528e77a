"""Names what pyproject.toml asks for: python tools/packages.py [EXTRA]."""

import re
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
wanted = list(project["dependencies"])
extras = sys.argv[1:]
while extras:
    for requirement in project["optional-dependencies"][extras.pop()]:
        nested = re.fullmatch(r"wakestate\[([\w,]+)\]", requirement)
        if nested:
            extras += nested[1].split(",")
        else:
            wanted.append(requirement)
print(" ".join(sorted({re.split(r"[<>=]", requirement)[0] for requirement in wanted})))
