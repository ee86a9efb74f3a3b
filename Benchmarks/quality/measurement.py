"""Runs every task with every pattern, one pattern after the other."""

import queue
import threading
from dataclasses import dataclass, field

import scoring
from endpoint import Refused, Unreachable

DIRECT = "direct"
SELF_CONSISTENCY = "self-consistency"


@dataclass
class Result:
    """Result of one task with one pattern. A task without any answer has failed and scores 0."""

    task: int
    dataset: str
    score: float
    answer: str | None
    expected: str
    marked: bool = False
    tokens: int | None = None
    calls: int = 0
    seconds: float = 0.0
    cut: int = 0
    texts: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    failed: bool = False


@dataclass
class Column:
    """Results of one pattern.

    `missing`: why it was not measured. `budget_of`: the pattern whose completion tokens a
    self-consistency column may spend, with `samples` samples per task. If it is empty, an option
    gave the number of samples.
    """

    name: str
    results: list = field(default_factory=list)
    missing: str = ""
    budget_of: str = ""
    samples: int = 0

    @property
    def answered(self):
        return [r for r in self.results if not r.failed]

    def mean(self, what):
        """Returns the mean over the answered tasks that report the value, or None if none does."""
        values = [getattr(r, what) for r in self.answered if getattr(r, what) is not None]
        return sum(values) / len(values) if values else None

    @property
    def score(self):
        """The mean over all tasks. A failed task counts as not solved."""
        return sum(r.score for r in self.results) / len(self.results) if self.results else None


@dataclass(frozen=True)
class Settings:
    model: str
    seed: int
    max_tokens: int
    temperature: float
    sample_temperature: float
    samples: int
    max_samples: int
    concurrency: int


class Measurement:
    """Fills `columns`, which keep all results so far after an interruption.

    `names` is the server's list of models, or None if it has none. `say` prints each step.
    """

    def __init__(self, endpoint, tasks, settings, names, say):
        self.endpoint, self.tasks, self.settings = endpoint, tasks, settings
        self.names, self.say = names, say
        # Only Tutti gets Tutti's members: other servers may refuse unknown ones.
        self.is_tutti = any(name.startswith("tutti/") for name in names or [])
        self.columns = []
        # Key: (task number, sample number). Value: the answer, or the error of the request.
        self.pool = {}

    def run(self, patterns):
        """Measures all columns. Raises KeyboardInterrupt if interrupted."""
        self.direct()
        measured = [self.pattern(name) for name in patterns]
        offered = [column for column in measured if not column.missing]
        for column in offered:
            self.self_consistency(column)
        if not offered and self.columns[0].answered:
            self._sampled(self._add(Column(SELF_CONSISTENCY)), self.settings.samples)

    def direct(self):
        column = self._add(Column(DIRECT))
        self._ask_all(column, lambda task: self._body(
            self.settings.model, task, DIRECT, temperature=self.settings.temperature))
        return column

    def pattern(self, name):
        """Measures a pattern.

        The request has no temperature: a pattern chooses one for each member, and the client's
        temperature would replace it and make the members alike.
        """
        column = self._add(Column(name))
        # Some servers answer for every model name, so the list is checked first.
        if self.names is not None and name not in self.names:
            column.missing = "not in the server's list of models"
            self.say(f"{name}: not offered")
        else:
            self._ask_all(column, lambda task: self._body(name, task, name))
        return column

    def self_consistency(self, pattern):
        """Samples the real model at the token cost of the pattern, and votes."""
        column = self._add(Column(SELF_CONSISTENCY, budget_of=pattern.name))
        budget = pattern.mean("tokens")
        if budget is None:
            column.missing = f"{pattern.name} reported no tokens to compare with"
            return
        count, wanted = 0, 1
        # More samples give a better estimate of the cost of one, so the number is computed again
        # after each draw. It only grows, so the loop ends.
        while wanted is not None and wanted > count:
            count = wanted
            self._draw(count)
            wanted = scoring.samples_for_budget(
                budget, self._tokens_per_sample(), self.settings.max_samples)
        if wanted is None:
            column.missing = "the model reported no tokens"
            return
        self._sampled(column, wanted)

    def _sampled(self, column, count):
        column.samples = count
        try:
            self._draw(count)
        finally:
            # After an interruption, only tasks with all samples count.
            for task in self.tasks:
                votes = [self.pool.get((task.number, n)) for n in range(count)]
                if None not in votes:
                    column.results.append(self._elect(task, votes))

    # MARK: - Requests

    def _add(self, column):
        self.columns.append(column)
        return column

    def _body(self, model, task, purpose, temperature=None, sample=0):
        seed = scoring.request_seed(self.settings.seed, purpose, task.number, sample)
        body = {
            "model": model,
            "messages": [{"role": "user", "content": task.prompt}],
            "max_tokens": self.settings.max_tokens,
            "seed": seed,
        }
        if temperature is not None:
            body["temperature"] = temperature
        if self.is_tutti or model.startswith("tutti/"):
            # A race does not change the answer, only its cost.
            body["tutti"] = {"trace": True, "seed": seed, "race": "single"}
        return body

    def _outcome(self, body):
        try:
            return self.endpoint.ask(body)
        except (Refused, Unreachable) as error:
            return error

    def _ask_all(self, column, body):
        """Asks all tasks. The first one goes alone, to find out if the server has the model."""
        def take(task, outcome):
            if isinstance(outcome, Refused) and outcome.about_model and not column.answered:
                column.missing = str(outcome)
                self.say(f"{column.name}: not offered: {outcome}")
            else:
                column.results.append(self._elect(task, [outcome]))
                self._progress(column, column.results[-1])

        def work(task):
            return self._outcome(body(task))

        each(self.tasks[:1], work, take, 1)
        if not column.missing:
            each(self.tasks[1:], work, take, self.settings.concurrency)
        column.results.sort(key=lambda result: result.task)

    def _draw(self, count):
        """Draws the missing samples of every task, from 0 up to `count`."""
        wanted = [
            (task, n) for n in range(count) for task in self.tasks
            if (task.number, n) not in self.pool
        ]

        def work(job):
            task, n = job
            return self._outcome(self._body(
                self.settings.model, task, SELF_CONSISTENCY, self.settings.sample_temperature, n))

        def take(job, outcome):
            task, n = job
            self.pool[task.number, n] = outcome
            self.say(f"sample {n + 1} of {count}, task {task.number + 1}/{len(self.tasks)}"
                     + (f": {outcome}" if isinstance(outcome, Exception) else ""))

        each(wanted, work, take, self.settings.concurrency)

    def _tokens_per_sample(self):
        known = [a.tokens for a in self.pool.values()
                 if not isinstance(a, Exception) and a.tokens is not None]
        return sum(known) / len(known) if known else None

    def _elect(self, task, outcomes):
        """Returns the result of a task: its only answer, or the vote of several.

        Seconds add up, because samples are asked one after the other.
        """
        answers = [o for o in outcomes if not isinstance(o, Exception)]
        found = [scoring.extract(answer.text) for answer in answers]
        answer = scoring.vote(found)
        tokens = [a.tokens for a in answers if a.tokens is not None]
        return Result(
            task=task.number, dataset=task.dataset, score=task.score(answer), answer=answer,
            expected=str(task.entry["answer"]), marked=any(f and f.marked for f in found),
            tokens=sum(tokens) if tokens else None, calls=sum(a.calls for a in answers),
            seconds=sum(a.seconds for a in answers), cut=sum(a.cut for a in answers),
            texts=[a.text for a in answers],
            errors=[str(o) for o in outcomes if isinstance(o, Exception)], failed=not answers)

    def _progress(self, column, result):
        said = "; ".join(result.errors) or (
            f"score {result.score:.2f}, {result.tokens} tokens, {result.seconds:.1f} s")
        self.say(f"{column.name}: {len(column.results)}/{len(self.tasks)} {result.dataset}: {said}")


def each(items, work, take, concurrency):
    """Calls `work` on the items in several threads, and `take(item, outcome)` in this thread.

    The threads die with the process, so an interruption does not wait for a slow server. Finished
    items are taken before KeyboardInterrupt propagates.
    """
    waiting, finished, stopped = queue.SimpleQueue(), queue.SimpleQueue(), threading.Event()
    for item in items:
        waiting.put(item)

    def serve():
        while not stopped.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                finished.put((item, work(item), None))
            except Exception as error:  # an error of this program must not vanish in a thread
                finished.put((item, None, error))

    for _ in range(min(concurrency, len(items))):
        threading.Thread(target=serve, daemon=True).start()
    taken = 0
    try:
        while taken < len(items):
            item, outcome, error = finished.get()
            taken += 1
            if error:
                raise error
            take(item, outcome)
    except BaseException:
        stopped.set()
        while not finished.empty():
            item, outcome, error = finished.get()
            if not error:
                take(item, outcome)
        raise
