"""Pure functions of the quality harness: answer extraction, votes, intervals, tests.

They use no server, no clock and no random source of their own.
"""

import hashlib
import math
import random
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

# 95 % of a normal distribution lie within this many standard deviations.
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Extraction:
    """An answer found in a model's text.

    `marked` means that the text marks it as the answer; otherwise it is only the last line.
    """

    answer: str
    marked: bool


THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
TAGGED = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL | re.IGNORECASE)
BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
# "Answer: 7", "**Final answer:** 7", "## Answer = 7", "the answer is 7". The colon may stand inside
# or outside the emphasis. Without a colon only "answer is" counts, not "answer the question". The
# rest of the line is a lookahead, so that a second mark in it is found as well.
MARKED = re.compile(
    r"\b(?:final\s+)?answer\b[*_`\s]{0,4}(?:[:=：][*_`]{0,3}|\bis\b[*_` \t]*:?)[ \t]*(?=(.*))",
    re.IGNORECASE,
)

# The instruction itself: "Answer: ..." or "Answer: <your answer>".
REPEATED = re.compile(r"[.…\s]+|<.*>|\[?your (final )?answer\]?", re.IGNORECASE)


def extract(text):
    """Returns the answer in a model's text, or None if the text has only thoughts.

    The last mark wins: models correct themselves, and repeat the instruction first.
    """
    text = THOUGHT.sub("", text or "").strip()
    if not text:
        return None
    marks = [(m.start(), m[1]) for m in TAGGED.finditer(text)]
    marks += [(m.start(), _line_or_next(text, m)) for m in MARKED.finditer(text)]
    marks += [(m.start(), m[1]) for m in BOXED.finditer(text)]
    for _, found in sorted(marks, reverse=True):
        answer = clean(found)
        if answer and not REPEATED.fullmatch(answer):
            return Extraction(answer, True)
    last = clean([line for line in text.splitlines() if line.strip()][-1])
    return Extraction(last, False) if last else None


def _line_or_next(text, match):
    """Returns the text after the mark, or the first line below it if there is none."""
    if re.sub(r"[*_`\s]", "", match[1]):
        return match[1]
    return next((line for line in text[match.end(1) :].splitlines() if line.strip("*_` \t")), "")


def clean(answer):
    """Removes the decoration that models put around an answer.

    Removes emphasis, code marks, dollar signs, a box, quotation marks around the whole answer, and
    the full stop at its end.
    """
    answer = answer.strip()
    while True:
        before = answer
        boxed = re.fullmatch(r"\\\(?\s*\\?boxed\s*\{(.*)\}\s*\\?\)?|\\boxed\s*\{(.*)\}", answer)
        if boxed:
            answer = boxed[1] or boxed[2] or ""
        for mark in ("***", "**", "__", "```", "`", "$$", "$", '"', "'", "*"):
            inner = answer[len(mark) : -len(mark)]
            # `2 * 3 *` is not emphasis, and "'a', 'b'" is not a quotation.
            if len(answer) > 2 * len(mark) and answer == mark + inner + mark and mark not in inner:
                answer = inner
        if answer.endswith(("**", "__")) and answer.count(answer[-2:]) == 1:
            answer = answer[:-2]
        if answer.startswith(("\\(", "\\[")) and answer.endswith(("\\)", "\\]")):
            answer = answer[2:-2]
        if answer.endswith(".") and not answer.endswith(".."):
            answer = answer[:-1]
        answer = answer.strip()
        if answer == before:
            return answer


def normalise(answer):
    """Returns the form in which answers count as equal votes. Scores use the answer as written."""
    text = re.sub(r"\s+", " ", clean(answer)).casefold()
    number = re.sub(r"(?<=\d),(?=\d{3}(\D|$))", "", text)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", number):
        try:
            plain = format(Decimal(number).normalize(), "f")
            return "0" if plain in ("-0", "0") else plain
        except InvalidOperation:
            pass
    return re.sub(r"\s*,\s*", ",", text)


def elect(votes, texts):
    """Returns the index of the elected answer of several, which have at least one text.

    The most frequent vote wins; None is no vote. Without any vote, the text wins that is nearest to
    the others. The first of equals wins, so that the result is deterministic.
    """
    counts = Counter(vote for vote in votes if vote is not None)
    if counts:
        # For equal counts, `most_common` keeps the order of first appearance.
        return votes.index(counts.most_common(1)[0][0])
    words = [Counter(re.findall(r"\w+|[^\w\s]", text.casefold())) for text in texts]
    nearness = [sum(likeness(one, other) for other in words) for one in words]
    return nearness.index(max(nearness))


def likeness(one, other):
    """Returns the Dice coefficient of two multisets of words, from 0 to 1."""
    whole = one.total() + other.total()
    return 2 * (one & other).total() / whole if whole else 1.0


def wilson(mean, count):
    """Returns the 95 % Wilson interval of a mean of scores between 0 and 1, as (low, high).

    The interval is meant for scores of 0 and 1. For scores between them it is too wide, never too
    narrow, because 0 and 1 have the largest variance for a given mean. Unlike a bootstrap it does
    not collapse if all scores are equal.
    """
    if count < 1:
        return (0.0, 1.0)
    z2 = NORMAL_95**2
    centre = (mean + z2 / (2 * count)) / (1 + z2 / count)
    half = NORMAL_95 / (1 + z2 / count) * math.sqrt(mean * (1 - mean) / count + z2 / (4 * count**2))
    return (max(0.0, centre - half), min(1.0, centre + half))


def paired_interval(differences, seed, rounds=2000):
    """Returns the 95 % bootstrap interval of the mean of paired differences, as (low, high).

    Returns None if no pair differs, because there is nothing to draw from.
    """
    if not any(differences):
        return None
    chance = random.Random(seed)
    count = len(differences)
    means = sorted(sum(chance.choices(differences, k=count)) / count for _ in range(rounds))
    return (means[int(0.025 * rounds)], means[int(0.975 * rounds) - 1])


def equal_token_differences(pattern, curve, seed, rounds=2000):
    """Compares a pattern with a curve at the tokens that the pattern spent.

    `pattern` has a (tokens, score) of each task, and `curve` has for each number of samples the
    (tokens, score) of the same tasks. Returns (difference, interval): the score of the pattern
    minus that of the curve at the pattern's mean tokens, and its 95 % bootstrap interval, for which
    the tasks of both are drawn together. The interval is None if nothing differs.
    """
    def difference(chosen):
        tokens, score = _means(pattern, chosen)
        return score - interpolate([_means(points, chosen) for points in curve], tokens)

    count = len(pattern)
    chance = random.Random(seed)
    drawn = sorted(difference(chance.choices(range(count), k=count)) for _ in range(rounds))
    found = difference(range(count))
    if drawn[0] == drawn[-1] == 0:
        return found, None
    return found, (drawn[int(0.025 * rounds)], drawn[int(0.975 * rounds) - 1])


def _means(points, chosen):
    return tuple(sum(points[i][axis] for i in chosen) / len(chosen) for axis in (0, 1))


def interpolate(points, x):
    """Returns the y at `x` on the line through the points, and that of an end beyond the ends."""
    points = sorted(points)
    if x <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in zip(points, points[1:]):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0) if x1 > x0 else y1
    return points[-1][1]


def sign_test(won, lost):
    """Returns the two-sided p of the exact sign test. For right and wrong it is McNemar's."""
    count, fewer = won + lost, min(won, lost)
    tail = sum(math.comb(count, n) for n in range(fewer + 1))
    return min(1.0, 2 * tail / 2**count)


def holm(values):
    """Returns the p of several tests, adjusted by Holm's method, in the same order."""
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, at in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, values[at] * (len(values) - rank)))
        adjusted[at] = highest
    return adjusted


def separation(right, wrong):
    """Returns the probability that a value of `right` is above one of `wrong` (area under ROC).

    Equal values count half. Returns None if either list is empty.
    """
    if not right or not wrong:
        return None
    above = sum((one > other) + (one == other) / 2 for one in right for other in wrong)
    return above / (len(right) * len(wrong))


def anchored(votes, margin, weights=None):
    """Returns the index of the answer of a vote in which the first vote is the anchor.

    Another answer wins only if the weight of its votes is higher by `margin` than that of the
    anchor's answer. None is no vote.
    """
    weights = weights or [1.0] * len(votes)
    groups = {}
    for vote, weight in zip(votes, weights):
        if vote is not None:
            groups[vote] = groups.get(vote, 0.0) + weight
    if not groups:
        return 0
    best = max(groups, key=groups.__getitem__)
    if votes[0] is not None and groups[best] < groups[votes[0]] + margin:
        return 0
    return votes.index(best)


def request_seed(*parts):
    """Returns a seed of 31 bits, which every server accepts, from the parts that name a request."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF
