"""Pure functions of the quality harness: answer extraction, votes, intervals, budgets.

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


def vote(extractions):
    """Returns the most frequent answer, as its first sample wrote it, or None if there is none.

    Samples that only have a last line vote if no sample marked an answer. If several answers have
    the same number of votes, the first one wins, so that the result is deterministic.
    """
    answers = [e.answer for e in extractions if e and e.marked]
    answers = answers or [e.answer for e in extractions if e]
    if not answers:
        return None
    votes = Counter(normalise(answer) for answer in answers)
    # For equal counts, `most_common` keeps the order of first appearance.
    winner = votes.most_common(1)[0][0]
    return next(answer for answer in answers if normalise(answer) == winner)


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


def samples_for_budget(budget, tokens_per_sample, most):
    """Returns the number of samples whose completion tokens are nearest to the budget.

    The number is from 1 to `most`. Returns None if either side was not measured.
    """
    if not budget or not tokens_per_sample:
        return None
    return min(most, max(1, math.floor(budget / tokens_per_sample + 0.5)))


def request_seed(*parts):
    """Returns a seed of 31 bits, which every server accepts, from the parts that name a request."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF
