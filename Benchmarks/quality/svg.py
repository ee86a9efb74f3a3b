"""The curves as an SVG: one panel for each suite, tokens on x, score on y."""

import math
from xml.sax.saxutils import escape

import scoring
from columns import AGREEMENT, CONSISTENCY

WIDTH, HEIGHT, MARGIN = 460, 330, 56
COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#7b4b94", "#b8860b", "#444444", "#008b8b", "#a0306a")
CURVES = (CONSISTENCY, AGREEMENT)


def chart(by_suite):
    """Returns the document. `by_suite` has the columns of each suite."""
    names = list(dict.fromkeys(
        column.name for columns in by_suite.values() for column in columns))
    colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
    across = min(2, len(by_suite)) or 1
    down = math.ceil(len(by_suite) / across)
    legend = 22 * len(names) + 20
    width, height = WIDTH * across, HEIGHT * down + legend
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>']
    for n, (suite, columns) in enumerate(by_suite.items()):
        parts.append(f'<g transform="translate({n % across * WIDTH} {n // across * HEIGHT})">')
        parts += _panel(suite, columns, colours)
        parts.append("</g>")
    for n, name in enumerate(names):
        y = HEIGHT * down + 16 + 22 * n
        parts.append(f'<circle cx="{MARGIN}" cy="{y - 4}" r="5" fill="{colours[name]}"/>')
        parts.append(f'<text x="{MARGIN + 14}" y="{y}">{escape(name)}</text>')
    return "\n".join(parts + ["</svg>"]) + "\n"


def _panel(suite, columns, colours):
    points = [(column, column.mean("tokens"), column.score, len(column.cells))
              for column in columns if column.mean("tokens") is not None]
    right = _above(max((tokens for _, tokens, _, _ in points), default=1))
    left, bottom, top = MARGIN, HEIGHT - MARGIN, 34

    def x(tokens):
        return round(left + (WIDTH - left - 24) * tokens / right, 1)

    def y(score):
        return round(bottom - (bottom - top) * score, 1)

    yield f'<text x="{left}" y="20" font-weight="bold">{escape(suite)}</text>'
    for tenth in range(0, 11, 2):
        yield (f'<line x1="{left}" x2="{WIDTH - 24}" y1="{y(tenth / 10)}" y2="{y(tenth / 10)}" '
               'stroke="#dddddd"/>')
        yield (f'<text x="{left - 8}" y="{y(tenth / 10) + 4}" text-anchor="end">'
               f"{tenth / 10:.1f}</text>")
    for step in range(5):
        tokens = right * step / 4
        yield f'<text x="{x(tokens)}" y="{bottom + 18}" text-anchor="middle">{tokens:.0f}</text>'
    yield (f'<text x="{(WIDTH + left) / 2}" y="{bottom + 38}" text-anchor="middle">'
           "completion tokens per task</text>")
    for name in CURVES:
        line = sorted((x(tokens), y(score)) for column, tokens, score, _ in points
                      if column.name == name)
        if len(line) > 1:
            path = " ".join(f"{px},{py}" for px, py in line)
            yield f'<polyline points="{path}" fill="none" stroke="{colours[name]}"/>'
    for column, tokens, score, count in points:
        low, high = scoring.wilson(score, count)
        colour = colours[column.name]
        yield (f'<line x1="{x(tokens)}" x2="{x(tokens)}" y1="{y(low)}" y2="{y(high)}" '
               f'stroke="{colour}" stroke-opacity="0.45"/>')
        yield (f'<circle cx="{x(tokens)}" cy="{y(score)}" r="4" fill="{colour}">'
               f"<title>{escape(f'{suite}: {column.label}, {tokens:.0f} tokens, {score:.3f}')}"
               f"</title></circle>")


def _above(value):
    """Returns a round number at or above the value."""
    unit = 10 ** math.floor(math.log10(max(value, 1)))
    return next(unit * step for step in (1, 2, 4, 5, 8, 10) if unit * step >= value)
