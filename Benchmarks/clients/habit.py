"""What a habit of a host is, and the table of all of them."""

from collections.abc import Callable
from dataclasses import dataclass

from scripted_host import whole

HABITS = {}


@dataclass(frozen=True)
class Habit:
    """How one kind of host answers."""

    # Makes the response to a request for an answer. Its name is the habit's.
    answer: Callable
    # The kind of fault in a gateway that the habit shows, "-" for an honest host.
    kind: str
    # What Tutti declares to do better than the host. "answer": Tutti gives the answer of an honest
    # host although the client cannot read it directly. "error": the client takes a broken answer
    # for a whole one, and Tutti reports that it is broken. None: nothing.
    improves: str | None = None
    # The only calls that show something; None means all.
    calls: tuple | None = None
    # It takes many seconds.
    is_slow: bool = False
    # Path of its API; empty means `/v1`.
    base: str = ""
    # Makes the response to `GET /models` of an honest host's list.
    listing: Callable = whole
    # Its model is named when it is added, because it lists none.
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
    """Declares the habit of the function that follows."""
    def declare(answer):
        HABITS[answer.__name__] = Habit(answer, kind, **options)
        return answer
    return declare
