"""Templates filled, styles and scripts put inline, and the policy that lets exactly these run."""

import base64
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

STATIC = Path(__file__).parent / "static"
TEMPLATES = Path(__file__).parent / "templates"
DRAWING = ("vendor/vega.min.js", "vendor/vega-lite.min.js", "vendor/vega-embed.min.js", "figures.js")


@dataclass(frozen=True)
class Page:
    """A finished page.

    Attributes:
        html: the whole file.
        policy: its Content-Security-Policy, which the file also states itself.
    """

    html: str
    policy: str

    @property
    def headers(self) -> dict[str, str]:
        """For whoever serves it."""
        return {
            "Content-Security-Policy": f"{self.policy}; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
        }


@functools.cache
def environment() -> Environment:
    """Of all templates: everything that is put in is escaped."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["data"] = data
    return made


def render(template: str, context: Mapping[str, Any], *, scripts: tuple[str, ...] = ()) -> Page:
    """A page of one template.

    Args:
        template: name of its file.
        context: what it shows.
        scripts: files of `static` that it runs, in order.
    """
    style = static("pages.css")
    run = [static(name) for name in scripts]
    policy = _policy(style, run)
    filled = environment().get_template(template)
    return Page(filled.render(**context, style=Markup(style), scripts=run, policy=policy), policy)  # noqa: S704 - our own file


@functools.cache
def static(name: str) -> Markup:
    """The text of one of our own files, as it stands inside its tag.

    Raises:
        ValueError: it would end the tag that it is put into.
    """
    text = (STATIC / name).read_text(encoding="utf-8")
    if "</script" in text.lower() or "</style" in text.lower():
        raise ValueError(f"{name} holds the end of a tag and cannot be put inline")
    return Markup(text)  # noqa: S704 - our own file


def data(value: Any) -> Markup:
    """JSON for a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above


def _policy(style: str, scripts: list[Markup]) -> str:
    allowed = " ".join(_hash(script) for script in scripts) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@functools.lru_cache(maxsize=32)
def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
