"""Tasks from reasoning-gym, whose verifiers also score the answers."""

from dataclasses import dataclass
from typing import Any

# Data sets of every area with one-line answers, whose verifiers compare texts and numbers. Several
# other verifiers evaluate the answer as an expression, which is unsafe for a model's text.
STANDARD = (
    "basic_arithmetic leg_counting base_conversion knights_knaves calendar_arithmetic "
    "letter_counting simple_equations family_relationships time_intervals syllogism gsm_symbolic "
    "word_sorting number_sequence aiw fraction_simplification spell_backward self_reference "
    "shortest_path count_primes coin_flip"
).split()

INSTRUCTION = (
    "\n\nThink step by step, briefly. Give the final answer on the last line, alone, in the form\n"
    "Answer: ..."
)


class UnknownDataset(Exception):
    """reasoning-gym has no data set of that name."""


@dataclass(frozen=True)
class Task:
    """One question. `number` counts from 0 over the run and is the same for every pattern."""

    number: int
    dataset: str
    entry: Any
    verifier: Any

    @property
    def prompt(self):
        return self.entry["question"].strip() + INSTRUCTION

    def score(self, answer):
        """Returns the score of reasoning-gym's verifier, between 0 and 1."""
        if answer is None:
            return 0.0
        try:
            return min(1.0, max(0.0, float(self.verifier.score_answer(answer, self.entry))))
        except Exception:
            # If the verifier cannot read the answer, the answer is wrong.
            return 0.0


def load(names, count, seed):
    """Returns `count` tasks, from each data set in turn.

    The same arguments give the same tasks; a larger `count` only adds tasks. Raises UnknownDataset,
    or ImportError without reasoning-gym.
    """
    import reasoning_gym

    unknown = [name for name in names if name not in reasoning_gym.factory.DATASETS]
    if unknown:
        raise UnknownDataset(", ".join(unknown))
    each = -(-count // len(names))
    datasets = [
        reasoning_gym.create_dataset(name, seed=seed, size=each) for name in names[:count]
    ]
    return [
        Task(n, names[which], datasets[which][turn], datasets[which])
        for n in range(count)
        for turn, which in [divmod(n, len(names))]
    ]
