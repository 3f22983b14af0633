"""Which of our media types a client wants, by its Accept header (RFC 9110, 12.5.1)."""

from collections.abc import Sequence

from service.api.problems import NotAcceptableError


def negotiate(accept: str | None, offers: Sequence[str]) -> str:
    """The offer with the highest quality; the first of `offers` where several are equal.

    Raises:
        NotAcceptableError: the header excludes all of them.
    """
    if accept is None or not accept.strip():
        return offers[0]
    ranges = [_media_range(part) for part in accept.split(",") if part.strip()]
    best = max(offers, key=lambda offer: _quality(offer, ranges))
    if _quality(best, ranges) <= 0:
        raise NotAcceptableError(offers)
    return best


def _media_range(text: str) -> tuple[str, float]:
    """``text/html;q=0.8`` as ("text/html", 0.8); an unreadable quality counts as 1."""
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            return name, _number(value)
    return name, 1.0


def _number(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 1.0


def _quality(offer: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The quality of the most specific range that covers the offer; 0 where none does."""
    family = offer.split("/", maxsplit=1)[0] + "/*"
    for wanted in (offer, family, "*/*"):
        qualities = [quality for name, quality in ranges if name == wanted]
        if qualities:
            return max(qualities)
    return 0.0
