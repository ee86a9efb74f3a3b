"""Questions over three short documents in the prompt. Everything is generated from a seed.

The answer is a sentence, so it is prose. It is right if it has the wanted value and none of the
other values of the same kind in the documents.
"""

import random
import re

from suites.extraction import CITIES, FIRST, LAST
from suites.task import Task, unvoted

MAX_TOKENS = 96

SUBJECTS = ("library museum theatre school clinic factory bakery hotel station archive").split()
COLOURS = ("red blue green yellow white black orange grey").split()
PRODUCTS = ("bread glass paper bicycles clocks cheese shoes violins soap maps").split()


def house(chance, city, subject, taken):
    """Returns the facts of one document, and its text in one of several orders."""
    def new(values):
        found = chance.choice([value for value in values if value not in taken])
        taken.add(found)
        return found

    facts = {
        "city": city, "subject": subject, "head": f"{new(FIRST)} {new(LAST)}",
        "year": str(new(range(1890, 2020))), "staff": str(new(range(11, 98))),
        "colour": new(COLOURS), "visitors": str(new(range(120, 990, 10))),
        "gift": new(PRODUCTS)}
    sentences = [
        chance.choice(["It was opened in {year}.", "Its doors opened in {year}."]),
        chance.choice(["{head} has been in charge since last spring.",
                       "The present head is {head}."]),
        chance.choice(["{staff} people work there.", "It employs {staff} people."]),
        "The front of the building is painted {colour}.",
        chance.choice(["On a usual day {visitors} people come.",
                       "About {visitors} people come a day."]),
        "The small shop at the entrance sells {gift}."]
    chance.shuffle(sentences)
    opening = f"The {subject} of {city} is one of the oldest in the region."
    return facts, " ".join([opening] + [sentence.format(**facts) for sentence in sentences])


# A question with the kind of fact it asks for, and the kind by which it names the document.
QUESTIONS = [
    ("How many people work at the {subject} of {city}?", "staff", "city"),
    ("Who is in charge of the {subject} of {city}?", "head", "city"),
    ("In which year was the place opened that {head} is in charge of?", "year", "head"),
    ("How many people work at the place with the {colour} front?", "staff", "colour"),
    ("Who is in charge of the place whose shop sells {gift}?", "head", "gift"),
    ("In which city is the place that was opened in {year}?", "city", "year"),
    ("What does the shop sell at the place where {staff} people work?", "gift", "staff"),
    ("Which colour is the front of the place that {head} is in charge of?", "colour", "head"),
]
# Questions about all three documents: the wanted kind, the compared kind, and the chosen extreme.
COMPARISONS = [
    ("In which city is the place that was opened first?", "city", "year", min),
    ("Who is in charge of the place with the most employees?", "head", "staff", max),
    ("What does the shop of the place sell to which the fewest people come on a day?", "gift",
     "visitors", min),
]


def load(count, seed):
    """Returns `count` tasks. Every third question compares the documents."""
    return [_task(number, seed) for number in range(count)]


def _task(number, seed):
    chance = random.Random(f"{seed}/documents/{number}")
    taken, cities = set(), chance.sample(CITIES, 3)
    subjects = [chance.choice(SUBJECTS)] * 3
    written = [house(chance, city, subject, taken) for city, subject in zip(cities, subjects)]
    houses = [facts for facts, _ in written]
    if number % 3 == 2:
        question, kind, by, extreme = COMPARISONS[number // 3 % len(COMPARISONS)]
        wanted = extreme(houses, key=lambda facts: int(facts[by]))
        label = f"comparison of {by}"
    else:
        turn = number // 3 * 2 + number % 3
        question, kind, by = QUESTIONS[turn % len(QUESTIONS)]
        wanted = chance.choice(houses)
        label = f"{kind} by {by}"
    question = question.format(**wanted)
    papers = "\n\n".join(f"Document {n}:\n{text}" for n, (_, text) in enumerate(written, 1))
    others = [facts[kind] for facts in houses if facts is not wanted]
    return Task(
        suite="documents", number=number, label=label,
        prompt=f"{papers}\n\nQuestion: {question}\nAnswer in one short sentence.",
        expected=wanted[kind], max_tokens=MAX_TOKENS,
        judge=lambda text: score(text, wanted[kind], others), vote=unvoted)


def has(text, value):
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE) is not None


def score(text, wanted, others):
    """Returns 1 if the text has the wanted value and none of the others, else 0.

    A person may be named by the last name alone.
    """
    def named(value):
        return has(text, value) or (" " in value and has(text, value.split()[-1]))

    return float(named(wanted) and not any(map(named, others)))
