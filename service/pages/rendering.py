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


# A file that needs no other names no place that it came from; forms must name theirs, or they are refused.
ALONE, IN_SITE = "no-referrer", "same-origin"


@dataclass(frozen=True)
class Page:
    """A finished page.

    Attributes:
        html: the whole file.
        policy: its Content-Security-Policy, which the file also states itself.
        referrer: its Referrer-Policy, likewise.
    """

    html: str
    policy: str
    referrer: str = ALONE

    @property
    def headers(self) -> dict[str, str]:
        """For whoever serves it."""
        return {
            "Content-Security-Policy": f"{self.policy}; frame-ancestors 'none'",
            "Referrer-Policy": self.referrer,
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


def render(
    template: str,
    context: Mapping[str, Any],
    *,
    scripts: tuple[str, ...] = (),
    site: Mapping[str, Any] | None = None,
) -> Page:
    """A page of one template.

    Args:
        template: name of its file.
        context: what it shows.
        scripts: files of `static` that it runs, in order.
        site: what its head shows of the pages around it; None: it stands alone, and can send nothing anywhere.
    """
    style = static("pages.css")
    run = [static(name) for name in scripts]
    policy = _policy(style, run, "'none'" if site is None else "'self'")
    referrer = ALONE if site is None else IN_SITE
    around = {"style": style, "scripts": run, "policy": policy, "referrer": referrer, "site": site}
    return Page(environment().get_template(template).render(**context, **around), policy, referrer)


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


def _policy(style: str, scripts: list[Markup], reachable: str) -> str:
    allowed = " ".join(_hash(script) for script in scripts) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)}; img-src data:; "
        f"base-uri 'none'; form-action {reachable}; connect-src {reachable}"
    )


@functools.lru_cache(maxsize=32)
def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
