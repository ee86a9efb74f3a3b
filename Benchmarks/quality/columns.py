"""The ways of answering that a run has: one row of the report each, with a cell per task."""

import itertools
import json
from dataclasses import dataclass, field

import scoring

ONCE, CONSISTENCY, AGREEMENT = "once", "self-consistency", "best by agreement"

# A suite has a curve up to the number of samples that this share of its anchors has.
COMPLETE = 2 / 3


# The tasks by which a rule is decided, and those on which it is then reported.
HALVES = ("decide", "report")


def half_of(row):
    """Returns the half of a task. It does not follow the number, which follows the data set."""
    return HALVES[scoring.request_seed("half", row["suite"], row["number"]) % 2]


@dataclass
class Cell:
    """One task answered in one way. An error has no answer, and its score is 0."""

    score: float
    tokens: float | None
    calls: float = 1
    seconds: float = 0.0
    cut: bool = False
    error: str | None = None
    confidence: float | None = None
    reason: str | None = None


@dataclass
class Column:
    """One way of answering one suite. `size` is the number of answers, or 0 for a pattern."""

    name: str
    suite: str
    size: int = 0
    cells: dict = field(default_factory=dict)

    @property
    def label(self):
        counted = self.size > 1 or self.name == CONSISTENCY
        return f"{self.name}, {self.size}" if counted else self.name

    @property
    def answered(self):
        return [cell for cell in self.cells.values() if not cell.error]

    @property
    def score(self):
        """The mean over all tasks. An error counts as not solved."""
        return sum(cell.score for cell in self.cells.values()) / len(self.cells)

    def mean(self, what):
        """Returns the mean over the answered tasks that report the value, or None if none does."""
        values = [getattr(cell, what) for cell in self.answered
                  if getattr(cell, what) is not None]
        return sum(values) / len(values) if values else None


class Pool:
    """All answers of one or several runs.

    A task is named by its suite, its number and the seed of its run. Programs do not depend on a
    seed, so the first run that has one counts. `half` keeps only the tasks of one half.
    """

    def __init__(self, runs, model=None, half=None):
        self.runs = runs
        self.labels, self.numbers, self.suite_of, self.seed_of = {}, {}, {}, {}
        # Task to model to number of the answer to row, and column to task to row.
        self.draws, self.patterns = {}, {}
        for run in runs:
            for row in run.draws.rows:
                if not row.get("error") and half in (None, half_of(row)):
                    found = self.draws.setdefault(self._name(run, row), {})
                    found.setdefault(row["model"], {}).setdefault(row["n"], row)
            latest = {}
            for row in run.results.rows:
                if half not in (None, half_of(row)):
                    continue
                latest[row["column"], row["suite"], row["number"]] = row
            for row in latest.values():
                self.patterns.setdefault(row["column"], {}).setdefault(self._name(run, row), row)
        counts = {}
        for by_model in self.draws.values():
            for name, rows in by_model.items():
                counts[name] = counts.get(name, 0) + len(rows)
        self.models = sorted(counts, key=lambda name: (-counts[name], name))
        self.model = model or (self.models[0] if self.models else None)

    def _name(self, run, row):
        seed = run.settings["seed"]
        name = f"{row['suite']}/{row['number']}" + ("" if row["suite"] == "code" else f"@{seed}")
        self.suite_of[name], self.labels[name] = row["suite"], row["label"]
        self.numbers[name], self.seed_of[name] = row["number"], seed
        return name

    @property
    def suites(self):
        order = ["closed", "json", "documents", "code"]
        return sorted(set(self.suite_of.values()), key=lambda suite: (
            order.index(suite) if suite in order else len(order), suite))

    def answers(self, task, model=None):
        """Returns the rows of the anchor and the samples, up to the first that is missing."""
        rows = self.draws.get(task, {}).get(model or self.model, {})
        return [rows[n] for n in itertools.takewhile(rows.__contains__, itertools.count())]

    def tasks(self, suite, answers=1):
        """Returns the tasks of a suite that have at least as many answers, in order."""
        return [task for task in sorted(self.draws, key=lambda task: (
                    self.seed_of[task], self.numbers[task]))
                if self.suite_of[task] == suite and len(self.answers(task)) >= answers]

    def depth(self, suite):
        """Returns how many samples the curve of a suite has."""
        anchors = len(self.tasks(suite))
        return next((k for k in range(64, 0, -1)
                     if anchors and len(self.tasks(suite, k + 1)) >= COMPLETE * anchors), 0)

    # MARK: - Columns

    def columns(self, suite, choices=None):
        """Returns the columns of a suite: the model once, curves, and the patterns."""
        found = []
        if self.tasks(suite):
            found.append(self.once(suite))
            depth = self.depth(suite)
            found += [self.consistency(suite, k) for k in range(1, depth + 1)]
            found += [self.agreement(suite, k, choices) for k in range(2, depth + 2)
                      if choices]
        found += [self.pattern(suite, name) for name in self.patterns]
        return [column for column in found if column.cells]

    def once(self, suite, model=None):
        name = ONCE if model in (None, self.model) else f"{ONCE}, {model}"
        column = Column(name, suite)
        for task in self.draws:
            rows = self.answers(task, model)
            if self.suite_of[task] == suite and rows:
                column.cells[task] = cell([rows[0]])
        return column

    def consistency(self, suite, k):
        """Samples and a vote. The score is the mean over all choices of `k` drawn samples.

        Without the mean, the score would depend on the order in which the samples were drawn.
        """
        column = Column(CONSISTENCY, suite, k)
        depth = self.depth(suite)
        for task in self.tasks(suite, depth + 1):
            samples = self.answers(task)[1:depth + 1]
            cells = [cell(list(chosen), elected(chosen))
                     for chosen in itertools.combinations(samples, k)]
            column.cells[task] = Cell(*(
                sum(getattr(c, what) or 0 for c in cells) / len(cells)
                for what in ("score", "tokens", "calls", "seconds")))
        return column

    def agreement(self, suite, k, choices):
        """Our choice among the anchor and k - 1 samples, of which the plan buys as many as needed.

        `choices` has for each task the choices among its first 1, 2, … answers.
        """
        column = Column(AGREEMENT, suite, k)
        for task in self.tasks(suite, self.depth(suite) + 1):
            known, rows = choices.get(task) or [], self.answers(task)
            if len(known) >= k:
                column.cells[task] = staged(rows, known, k)
        return column

    def pattern(self, suite, name):
        column = Column(name, suite)
        for task, row in self.patterns[name].items():
            if self.suite_of[task] == suite:
                column.cells[task] = Cell(
                    row["score"], row.get("tokens"), row.get("calls") or 0,
                    row.get("seconds") or 0.0, bool(row.get("cut")), row.get("error"),
                    row.get("confidence"), row.get("reason"))
        return column


def cell(rows, index=0):
    """Returns the cell of the answer at `index`, at the cost of all."""
    return Cell(
        rows[index]["score"], sum(row["tokens"] or 0 for row in rows), len(rows),
        sum(row["seconds"] for row in rows), rows[index]["cut"])


def staged(rows, known, k):
    """Returns the cell of a choice among the first `k` answers that stops when it is settled."""
    choice = known[k - 1]
    if "error" in choice:
        # No answer has any text. Then the plan has bought all of them, and the first one stands.
        return cell(rows[:k])
    bought = max(1, min(k, choice["settled_after"]))
    found = cell(rows[:bought], min(choice["settled_index"], bought - 1))
    confidence = known[bought - 1].get("confidence")
    found.confidence = None if confidence is None else confidence / 1_000
    return found


def elected(rows):
    return scoring.elect([row["vote"] for row in rows], [row["text"] for row in rows])


# MARK: - Choices of the product's own code

KINDS = {"closed": "closed", "json": "json", "documents": "prose", "code": "code"}


def replay_lines(pool, tasks, rules=None, second=None, weight=0.0):
    """Yields the lines for ChoiceReplay: for each task, its first 1, 2, … answers.

    `second` is another model, whose anchor is one more draft of the given weight.
    """
    for name in sorted(set(pool.draws) & set(tasks)):
        task, rows = tasks[name], pool.answers(name)
        drafts = [{"text": row["text"], "use": "draft", "weight": 1_000, "cut": row["cut"]}
                  for row in rows]
        other = pool.answers(name, second)[:1] if second and weight else []
        more = [{"text": row["text"], "use": "draft", "weight": round(weight * 1_000),
                 "cut": row["cut"]} for row in other]
        for k in range(1, len(drafts) + 1):
            line = {"id": f"{name}#{k}", "kind": KINDS[task.suite], "query": task.prompt,
                    "drafts": drafts[:k] + more}
            schema = ((task.form.get("response_format") or {}).get("json_schema") or {})
            if schema:
                line["schema"] = json.dumps(schema["schema"])
            if rules:
                line["rules"] = rules
            yield json.dumps(line, ensure_ascii=False)


def read_choices(lines):
    """Returns for each task the list of its choices, from the lines of ChoiceReplay."""
    found = {}
    for line in lines:
        row = json.loads(line)
        name, _, k = row["id"].rpartition("#")
        found.setdefault(name, {})[int(k)] = row
    return {name: [by_k[k] for k in sorted(by_k)] for name, by_k in found.items()}
