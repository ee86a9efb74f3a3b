"""What is pure in the quality harness: finding an answer in a text, voting, intervals, budgets.

Nothing here knows a server, a clock, or a source of chance of its own.
"""

import hashlib
import math
import random
import re
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

# Of a normal distribution: 95 % lie within so many standard deviations.
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Extraction:
    """An answer found in a model's text. `marked`: the text said that it is the answer; otherwise
    it is only the last line."""

    answer: str
    marked: bool


THOUGHT = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.IGNORECASE)
TAGGED = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL | re.IGNORECASE)
BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
# "Answer: 7", "**Final answer:** 7", "## Answer = 7", "the answer is 7". The colon may stand inside
# the emphasis or outside. Without a colon only "answer is" counts: "answer the question" must not.
# The rest of the line is only looked at, so that a second mark in it is found as well.
MARKED = re.compile(
    r"\b(?:final\s+)?answer\b[*_`\s]{0,4}(?:[:=：][*_`]{0,3}|\bis\b[*_` \t]*:?)[ \t]*(?=(.*))",
    re.IGNORECASE,
)

# The instruction itself: "Answer: ..." or "Answer: <your answer>".
REPEATED = re.compile(r"[.…\s]+|<.*>|\[?your (final )?answer\]?", re.IGNORECASE)


def extract(text):
    """The answer in a model's text, or None when there is no text outside its thoughts.

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
    """What stands behind the mark, or the first line below it when nothing does."""
    if re.sub(r"[*_`\s]", "", match[1]):
        return match[1]
    return next((line for line in text[match.end(1) :].splitlines() if line.strip("*_` \t")), "")


def clean(answer):
    """Without the decoration that models put around an answer: emphasis, code marks, dollar signs,
    a box, quotation marks around all of it, the full stop at its end."""
    answer = answer.strip()
    while True:
        before = answer
        boxed = re.fullmatch(r"\\\(?\s*\\?boxed\s*\{(.*)\}\s*\\?\)?|\\boxed\s*\{(.*)\}", answer)
        if boxed:
            answer = boxed[1] or boxed[2] or ""
        for mark in ("***", "**", "__", "```", "`", "$$", "$", '"', "'", "*"):
            inner = answer[len(mark) : -len(mark)]
            # `2 * 3 *` is no emphasis, and "'a', 'b'" no quotation.
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
    """The form in which two answers count as the same vote. Only for voting: what is scored is the
    answer as it was written."""
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
    """The answer that most samples gave, as its first voter wrote it; None when nobody has one.

    Samples that only have a last line vote when no sample marked an answer. Among equally many
    votes the one cast first wins, so that the order of the samples decides, not chance.
    """
    answers = [e.answer for e in extractions if e and e.marked]
    answers = answers or [e.answer for e in extractions if e]
    if not answers:
        return None
    votes = Counter(normalise(answer) for answer in answers)
    # `most_common` keeps the order of first appearance among equals.
    winner = votes.most_common(1)[0][0]
    return next(answer for answer in answers if normalise(answer) == winner)


def wilson(mean, count):
    """The 95 % Wilson interval of a mean of scores between 0 and 1, as (low, high).

    Exact in meaning for scores of 0 and 1. For scores between them it is wider than needed, never
    narrower: none varies more than 0 and 1 with the same mean. Unlike a bootstrap it does not
    collapse when every score is the same.
    """
    if count < 1:
        return (0.0, 1.0)
    z2 = NORMAL_95**2
    centre = (mean + z2 / (2 * count)) / (1 + z2 / count)
    half = NORMAL_95 / (1 + z2 / count) * math.sqrt(mean * (1 - mean) / count + z2 / (4 * count**2))
    return (max(0.0, centre - half), min(1.0, centre + half))


def paired_interval(differences, seed, rounds=2000):
    """The 95 % bootstrap interval of the mean of paired differences, as (low, high), or None when
    no pair differs: then there is nothing to draw from."""
    if not any(differences):
        return None
    chance = random.Random(seed)
    count = len(differences)
    means = sorted(sum(chance.choices(differences, k=count)) / count for _ in range(rounds))
    return (means[int(0.025 * rounds)], means[int(0.975 * rounds) - 1])


def samples_for_budget(budget, tokens_per_sample, most):
    """How many samples cost as many completion tokens as the budget: the whole number whose cost is
    nearest, at least 1, at most `most`. None when either side was not measured."""
    if not budget or not tokens_per_sample:
        return None
    return min(most, max(1, math.floor(budget / tokens_per_sample + 0.5)))


def request_seed(*parts):
    """A seed of 31 bits, which every server takes, from the run's seed and what the request is."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF
