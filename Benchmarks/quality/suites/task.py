"""One task of a suite, for every suite the same."""

from collections.abc import Callable
from dataclasses import dataclass, field


class Unusable(Exception):
    """A suite cannot be loaded. The message is for the user."""


@dataclass(frozen=True)
class Task:
    """One question with its score.

    `number` counts from 0 in the suite; tasks are halved by it into those that decide and those
    that are reported. `label` is the data set or the name. `judge(text)` returns the score of an
    answer, from 0 to 1. `vote(text)` returns the answer as it counts in a vote, or None if the
    suite has no votes: then the answer nearest to the others is elected. `form` has further members
    of the request.
    """

    suite: str
    number: int
    label: str
    prompt: str
    expected: str
    max_tokens: int
    judge: Callable[[str], float]
    vote: Callable[[str], str | None]
    form: dict = field(default_factory=dict)

    @property
    def body(self):
        """The members of the request that every way of asking has in common."""
        return {"messages": [{"role": "user", "content": self.prompt}],
                "max_tokens": self.max_tokens} | self.form


def unvoted(_):
    return None
