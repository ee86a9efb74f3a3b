"""A habit: one kind of behaviour of hosts. Holds the table of all habits."""

from collections.abc import Callable
from dataclasses import dataclass

from scripted_host import whole

HABITS = {}


@dataclass(frozen=True)
class Habit:
    """The behaviour of one kind of host."""

    # Makes the response to a request for an answer. Its name is the name of the habit.
    answer: Callable
    # The kind of gateway fault that the habit reveals; "-" for an honest host.
    kind: str
    # The declared improvement of Tutti over the host. "answer": Tutti returns the answer of an
    # honest host although the client cannot read it directly. "error": directly, the client takes a
    # broken answer for a whole one; Tutti reports an error. None: no improvement.
    improves: str | None = None
    # The calls that reveal the habit. None means all calls.
    calls: tuple | None = None
    # Whether the habit takes many seconds.
    is_slow: bool = False
    # Path of the API. Empty means `/v1`.
    base: str = ""
    # Makes the response to `GET /models` of an honest host's list.
    listing: Callable = whole
    # Whether the host lists no model, so that the admin request must name it.
    is_named: bool = False

    @property
    def name(self):
        return self.answer.__name__

    @property
    def what(self):
        return " ".join(self.answer.__doc__.split())

    def models(self):
        entry = {"id": self.name, "object": "model", "created": 0, "owned_by": "scripted"}
        return self.listing({"object": "list", "data": [entry]})


def habit(kind, **options):
    """Declares the decorated function as a habit."""
    def declare(answer):
        HABITS[answer.__name__] = Habit(answer, kind, **options)
        return answer
    return declare
