# SPDX-License-Identifier: Apache-2.0
"""The reference of a TOML file as Markdown, from the schema that checks it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from wakestate.tables import pipe

HEAD = ("key", "value", "default", "meaning")
LIMITS = {
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "up to {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
}
TYPES = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false"}


def reference(model: type[BaseModel], title: str, introduction: str) -> str:
    """A page: a section for each table of the file, a row for each key. Written in order."""
    schema = model.model_json_schema()
    parts = [f"# {title}", introduction]
    for name, table in _sections("", schema, schema.get("$defs", {})):
        rows = [
            (f"`{key}`", _value(of, schema["$defs"]), _default(key, of, table), _meaning(of))
            for key, of in table["properties"].items()
        ]
        parts += [f"## {name or 'Top level'}", table.get("description", ""), pipe(HEAD, rows)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _sections(
    path: str, table: dict[str, Any], defs: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(heading, schema) of a table and of those within it."""
    yield path and f"`{path}`", table
    for key, of in table["properties"].items():
        for form, part in (("[{}]", of), ("[[{}]]", of.get("items", {})), ("[{}.NAME]", _of(of))):
            inner = _resolved(part, defs)
            if inner is not None:
                within = f"{path.strip('[]')}.{key}" if path else key
                yield from _sections(form.format(within), inner, defs)


def _of(of: dict[str, Any]) -> dict[str, Any]:
    """What the values of a dictionary are."""
    values = of.get("additionalProperties")
    return values if isinstance(values, dict) else {}


def _resolved(part: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any] | None:
    """The table that a schema refers to, if it is one."""
    for one in (part, *part.get("anyOf", ())):
        table = defs.get(one.get("$ref", "").rpartition("/")[2])
        if table is not None and "properties" in table:
            return dict(table)
    return None


def _value(of: dict[str, Any], defs: dict[str, Any]) -> str:
    """What is allowed, in words."""
    if "$ref" in of:
        of = {**defs[of["$ref"].rpartition("/")[2]], **of}
    if "properties" in of:
        return "a table, below"
    if "const" in of:
        return f"`{json.dumps(of['const'])}`"
    if "enum" in of:
        return ", ".join(f"`{json.dumps(value)}`" for value in of["enum"])
    if "anyOf" in of:
        return " or ".join(_value(one, defs) for one in of["anyOf"] if one.get("type") != "null")
    if "prefixItems" in of:
        return "[" + ", ".join(_value(item, defs) for item in of["prefixItems"]) + "]"
    if of.get("type") == "array":
        return f"a list: {_value(of.get('items', {}), defs)}"
    if of.get("type") == "object":
        return f"by name: {_value(_of(of), defs)}"
    limits = [text.format(_number(of[key])) for key, text in LIMITS.items() if key in of]
    return ", ".join([TYPES.get(of.get("type", ""), "any"), *limits])


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _default(key: str, of: dict[str, Any], table: dict[str, Any]) -> str:
    if key in table.get("required", ()):
        return "**required**"
    value = of.get("default")
    if value is None or _is_table(value) or "$ref" in of:
        return ""
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) < 80 else "see the schema"


def _is_table(value: Any) -> bool:
    """A default that is written as tables of its own."""
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and isinstance(value[0], dict)
    )


def _meaning(of: dict[str, Any]) -> str:
    return str(of.get("description", "")).replace("\n", " ")
