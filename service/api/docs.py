"""The documentation page: one self-contained HTML page, for a service that may have no way to the internet."""

from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }
code, pre { font: 0.875rem/1.5 ui-monospace, monospace; background: #f3f4f6; border-radius: 4px; }
code { padding: 0.1rem 0.3rem; }
pre { padding: 0.75rem 1rem; overflow-x: auto; }
section { border-top: 1px solid #d1d5db; padding: 0.5rem 0 1rem; }
h2 { font-size: 1rem; margin: 0.75rem 0 0.25rem; }
h2 b { display: inline-block; min-width: 4rem; color: #0b5394; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
td { padding: 0.15rem 0.75rem 0.15rem 0; vertical-align: top; }
td:first-child { white-space: nowrap; }
@media (prefers-color-scheme: dark) {
  body { background: #111827; color: #e5e7eb; } code, pre { background: #1f2937; } h2 b { color: #7fb3ef; }
  section { border-color: #374151; } a { color: #7fb3ef; }
}
"""
EXAMPLE = """\
curl -s {base}/v1/audits -H 'Content-Type: application/json' -d '{{
  "model": {{"uri": "file:///srv/models/churn/7"}},
  "data": {{"train": {{"uri": "file:///srv/data/train.csv"}},
           "validation": {{"uri": "file:///srv/data/validation.csv"}}, "label": "churned"}}}}'"""


def page(openapi: dict[str, Any], base: str) -> str:
    """The page for an OpenAPI document; `base` is the address under which the client reached us."""
    info = openapi["info"]
    operations = "".join(
        _operation(method, path, operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    )
    paragraphs = "".join(f"<p>{_text(part)}</p>" for part in info["description"].strip().split("\n\n"))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>{paragraphs}"
        '<p><a href="/audits">The pages</a> of this service, for people.</p>'
        '<p>The whole description, for clients and tools: <a href="/openapi.json">openapi.json</a> '
        f"(OpenAPI {escape(openapi['openapi'])}).</p>"
        f"<pre>{escape(EXAMPLE.format(base=base.rstrip('/')))}</pre>{operations}</body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = [(f"{p['name']} ({p['in']})", p.get("description", "")) for p in operation.get("parameters", ())]
    answers = [(status, answer["description"]) for status, answer in operation["responses"].items()]
    text = _text(operation.get("description", operation["summary"]))
    return (
        f"<section><h2><b>{escape(method.upper())}</b> <code>{escape(path)}</code></h2>"
        f"<p>{text}</p>{_table(parameters)}{_table(answers)}</section>"
    )


def _table(rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    cells = "".join(f"<tr><td><code>{escape(name)}</code></td><td>{_text(text)}</td></tr>" for name, text in rows)
    return f"<table>{cells}</table>"


def _text(markdown: str) -> str:
    """Escaped, with `code` in backticks set as code."""
    parts = escape(markdown).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))
