"""Closed questions from reasoning-gym, whose verifiers also score the answers."""

import json
import os

import scoring
from suites.task import Task, Unusable

LEVELS_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "levels.json")

# Data sets with one-line answers, whose verifiers compare texts and numbers, each at two levels.
# Several other verifiers evaluate the answer as an expression, which is unsafe for a model's text.
# The levels are easier than reasoning-gym's own, at which a model of this size is almost never
# right. A measurement uses the levels at which it is right 20 to 80 % of the time.
CANDIDATES = {
    "chain_sum": [
        {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 2},
        {"min_terms": 3, "max_terms": 4, "min_digits": 2, "max_digits": 3}],
    "basic_arithmetic": [
        {"min_terms": 2, "max_terms": 3, "min_digits": 1, "max_digits": 1},
        {"min_terms": 3, "max_terms": 4, "min_digits": 1, "max_digits": 2}],
    "products": [
        {"min_digits": 1, "max_digits": 2}, {"min_digits": 2, "max_digits": 3}],
    "gcd": [{"max_value": 30}, {"max_value": 150}],
    "lcm": [{"max_value": 12}, {"max_value": 40}],
    "prime_factorization": [{"max_value": 30}, {"max_value": 120}],
    "fraction_simplification": [
        {"max_value": 9, "max_factor": 5, "styles": ["plain"]},
        {"max_value": 25, "max_factor": 12, "styles": ["plain"]}],
    "simple_equations": [
        {"min_terms": 2, "max_terms": 2, "max_value": 10, "operators": ["+", "-"],
         "operators_weights": [0.5, 0.5]},
        {"min_terms": 2, "max_terms": 3, "max_value": 20}],
    "leg_counting": [
        {"min_animals": 2, "max_animals": 2, "max_instances": 4},
        {"min_animals": 3, "max_animals": 4, "max_instances": 6}],
    "letter_counting": [
        {"min_words": 2, "max_words": 4}, {"min_words": 5, "max_words": 8}],
    "number_sequence": [
        {"min_terms": 4, "max_terms": 6, "min_value": 0, "max_value": 20, "max_complexity": 1},
        {"min_terms": 5, "max_terms": 7, "min_value": -20, "max_value": 50, "max_complexity": 2}],
    "number_filtering": [
        {"min_numbers": 3, "max_numbers": 4, "max_decimals": 0},
        {"min_numbers": 4, "max_numbers": 7, "max_decimals": 1}],
    "number_sorting": [
        {"min_numbers": 3, "max_numbers": 4, "max_decimals": 0},
        {"min_numbers": 5, "max_numbers": 7, "max_decimals": 1}],
    "word_sorting": [
        {"min_words": 3, "max_words": 4}, {"min_words": 5, "max_words": 7}],
    "spell_backward": [
        {"min_word_len": 3, "max_word_len": 4}, {"min_word_len": 5, "max_word_len": 6}],
    "calendar_arithmetic": [
        {"tasks": ["weekday_offset", "is_leap_year"], "offset_upper_bound": 7},
        {"tasks": ["weekday_offset", "count_days"], "offset_upper_bound": 30}],
    "time_intervals": [
        {"task_types": ["time"], "max_time_difference_seconds": 7_200},
        {"task_types": ["time", "date"], "max_date_difference_days": 30}],
    "family_relationships": [
        {"min_family_size": 3, "max_family_size": 4},
        {"min_family_size": 5, "max_family_size": 6}],
    "syllogism": [{"invalid_ratio": 0.3}, {"invalid_ratio": 0.6}],
    "gsm_symbolic": [{"difficulty": 1.0}],
}

INSTRUCTION = (
    "\n\nThink step by step, briefly. Give the final answer on the last line, alone, in the form\n"
    "Answer: ..."
)

# An answer and some steps; without a limit a small model sometimes repeats itself to the end.
MAX_TOKENS = 256


def all_levels():
    """Returns the names of all levels, as `chain_sum-0`."""
    return [f"{name}-{level}" for name, levels in CANDIDATES.items()
            for level in range(len(levels))]


def known_levels(path=LEVELS_FILE):
    """Returns the levels of a file that `pool.py calibrate` wrote."""
    try:
        with open(path, encoding="utf-8") as file:
            return list(json.load(file)["levels"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unusable(f"{path} has no levels ({error}); run pool.py calibrate") from None


def load(count, seed, levels=None):
    """Returns `count` closed questions, from each level in turn.

    There are fewer if a level does not have as many different questions.
    """
    try:
        import reasoning_gym
    except ImportError as error:
        raise Unusable(f"reasoning-gym cannot be loaded ({error}); install requirements.txt of "
                       "Benchmarks/quality") from None
    levels = levels or known_levels()
    unknown = [level for level in levels if level not in all_levels()]
    if unknown:
        raise Unusable(f"there is no level {', '.join(unknown)}")
    each = -(-count // len(levels))
    found = []
    for which, level in enumerate(levels[:count]):
        name, _, at = level.rpartition("-")
        # Both levels of a data set must not have the same tasks where their settings are equal.
        # Easy levels repeat some questions, and a question that is asked twice is not two tasks.
        entries = reasoning_gym.create_dataset(
            name, seed=scoring.request_seed(seed, level), size=4 * each + 20,
            **CANDIDATES[name][int(at)])
        found += [_task(turn * len(levels) + which, level, entries, entry)
                  for turn, entry in enumerate(_different(entries, each))]
    return sorted((task for task in found if task.number < count), key=lambda task: task.number)


def _different(entries, count):
    """Returns the first `count` entries with different questions, or fewer if there are not."""
    seen = {}
    for entry in entries:
        if len(seen) == count:
            break
        seen.setdefault(entry["question"], entry)
    return list(seen.values())


def _task(number, label, verifier, entry):
    def judge(text):
        found = scoring.extract(text)
        return score(verifier, entry, found.answer if found else None)

    return Task(
        suite="closed", number=number, label=label,
        prompt=entry["question"].strip() + INSTRUCTION, expected=str(entry["answer"]),
        max_tokens=MAX_TOKENS, judge=judge, vote=vote)


def score(verifier, entry, answer):
    """Returns 1 for the right answer, else 0.

    Verifiers give parts of a point for the right form or a near miss; an answer of that kind is
    wrong, and parts of points hide who was right.
    """
    if answer is None:
        return 0.0
    try:
        return float(float(verifier.score_answer(answer, entry)) >= 0.999)
    except Exception:
        # If the verifier cannot read the answer, the answer is wrong.
        return 0.0


def vote(text):
    found = scoring.extract(text)
    return scoring.normalise(found.answer) if found else None
