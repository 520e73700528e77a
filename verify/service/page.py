# SPDX-License-Identifier: Apache-2.0
"""The page /docs, made of the service's OpenAPI document: no script, and nothing from others."""

from __future__ import annotations

import json
from html import escape
from typing import Any

#: With it a browser loads nothing for the page, whatever is in it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2em .6em;text-align:left;"
    "vertical-align:top}code{background:#eee;padding:0 .2em}"
)


def page(document: dict[str, Any]) -> str:
    """An OpenAPI document as HTML."""
    info = document["info"]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])}</title>"
        f"<style>{_STYLE}</style><h1>{escape(info['title'])}</h1>"
        "<p>The same for programs: <a href=openapi.json>openapi.json</a></p>"
    ]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts += [f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>"]
            parts += [f"<p>{escape(operation.get('description', ''))}</p>"]
            parts += _request(operation)
            rows = [
                [status, given["description"], _schema(given.get("content", {}))]
                for status, given in operation["responses"].items()
            ]
            parts += [_table(["status", "when", "body"], rows)]
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        parts += [f"<h2 id={escape(name)}>{escape(name)}</h2>"]
        parts += [f"<p>{escape(schema.get('description', ''))}</p>"]
        rows = [
            [field, _type(about), about.get("description", "")]
            for field, about in schema.get("properties", {}).items()
        ]
        parts += [_table(["field", "type", ""], rows)]
    return "\n".join(parts)


def _request(operation: dict[str, Any]) -> list[str]:
    parts = []
    if operation.get("parameters"):
        rows = [
            [
                p["name"],
                _type(p["schema"]),
                "needed" if p.get("required") else "",
                p.get("description", ""),
            ]
            for p in operation["parameters"]
        ]
        parts += [_table(["query", "type", "", ""], rows)]
    for kind in operation.get("requestBody", {}).get("content", {}):
        parts += [f"<p>Body: <code>{escape(kind)}</code></p>"]
    if operation.get("security"):
        parts += ["<p>Header: <code>Authorization: Bearer KEY</code>, where there are keys</p>"]
    return parts


def _schema(content: dict[str, Any]) -> str:
    return ", ".join(_type(given.get("schema", {})) for given in content.values())


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    bounds = {k: v for k, v in schema.items() if k in ("minimum", "maximum", "maxLength")}
    shown = f" {json.dumps(bounds)}" if bounds else ""
    return f"{schema.get('type', '')}{shown}"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{escape(head)}" for head in heads)]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows]
    return "<table>" + "\n".join(lines) + "</table>" if rows else ""
