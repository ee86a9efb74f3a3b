"""Asks a server for draws, which are single answers of a model, and for answers of patterns.

Both are kept in the run's folder, and answers that are there are not asked for again.
"""

import queue
import signal
import threading
import time

import scoring
from endpoint import Refused, Unreachable

ANCHOR_TEMPERATURE = 0


class Stopped(KeyboardInterrupt):
    """SIGINT or SIGTERM has arrived. `status` is the exit status for it."""

    def __init__(self, number):
        super().__init__()
        self.status = 128 + number


def raise_at_signals():
    """Makes SIGINT and SIGTERM raise Stopped in the main thread, once.

    A second signal must not end the writing of the files that the first one causes.
    """
    def stop(number, _):
        for other in (signal.SIGINT, signal.SIGTERM):
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


class Draws:
    """Draws anchors and samples of models.

    Number 0 of a task is its anchor, at temperature 0; the others are samples. All anchors are
    drawn first, then the first sample of every task, and so on, so that an interruption leaves
    every task with nearly the same number of samples.
    """

    def __init__(self, endpoint, run, say, concurrency=1):
        self.endpoint, self.run, self.say, self.concurrency = endpoint, run, say, concurrency

    def known(self):
        """Returns the keys of the draws that the run has. Failed ones are asked for again."""
        return {(row["suite"], row["number"], row["model"], row["n"])
                for row in self.run.draws.rows if not row.get("error")}

    def draw(self, tasks, model, samples, until=None):
        """Draws what is missing. Ends at the time `until` of the monotonic clock, if it is set.

        Returns the number of draws that are still missing. Raises Stopped.
        """
        known = self.known()
        jobs = [(task, n) for n in range(samples + 1) for task in tasks
                if (task.suite, task.number, model, n) not in known]
        drawn = 0

        def take(job, row):
            nonlocal drawn
            drawn += not row.get("error")
            self.run.draws.append(row)
            self.say(f"{row['suite']} {row['number']} of {row['label']}, answer {row['n']}: "
                     + (row.get("error") or f"score {row['score']:.2f}, {row['tokens']} tokens, "
                        f"{row['seconds']:.1f} s; {len(jobs) - drawn} left"))

        each(jobs, lambda job: self._row(*job, model), take, self.concurrency, until)
        return len(jobs) - drawn

    def _row(self, task, n, model):
        settings = self.run.settings
        body = task.body | {
            "model": model,
            "temperature": settings["sample_temperature"] if n else ANCHOR_TEMPERATURE,
            "seed": scoring.request_seed(settings["seed"], task.suite, task.number, n)}
        if n == 0 and task.suite == "closed":
            # Whether the likelihood of its tokens separates right from wrong answers.
            body |= {"logprobs": True, "top_logprobs": 1}
        row = {"suite": task.suite, "number": task.number, "label": task.label, "model": model,
               "n": n}
        try:
            # A recorder gives the first sample its first record, also after an interruption.
            answer = self.endpoint.ask(body, {"X-Record": str(n - 1)} if n else None)
        except (Refused, Unreachable) as error:
            return row | {"error": str(error)}
        return row | {
            "score": task.judge(answer.text), "vote": task.vote(answer.text), "text": answer.text,
            "tokens": answer.tokens, "prompt_tokens": answer.prompt_tokens,
            "seconds": answer.recorder.get("seconds", answer.seconds), "cut": answer.cut,
            "logprobs": answer.recorder.get("logprobs")}


class Patterns:
    """Asks patterns. The requests are those of the anchor, with another name of a model."""

    def __init__(self, endpoint, run, say, concurrency=1, members=None):
        self.endpoint, self.run, self.say, self.concurrency = endpoint, run, say, concurrency
        self.members = members or {}

    def measure(self, column, model, tasks, retry_errors=False, until=None):
        """Asks what is missing. Returns the number of missing answers. Raises Stopped.

        An error counts as an answer, which is wrong, unless `retry_errors`.
        """
        known = {(row["suite"], row["number"]) for row in self.run.results.rows
                 if row["column"] == column and not (retry_errors and row.get("error"))}
        left = [task for task in tasks if (task.suite, task.number) not in known]
        done = 0

        def take(task, row):
            nonlocal done
            done += 1
            self.run.results.append(row)
            self.say(f"{column}: {row['suite']} {row['number']} of {row['label']}: "
                     + (row.get("error") or f"score {row['score']:.2f}, {row['tokens']} tokens, "
                        f"{row['calls']} calls; {len(left) - done} left"))

        each(left, lambda task: self._row(task, column, model), take, self.concurrency, until)
        return len(left) - done

    def _row(self, task, column, model):
        seed = scoring.request_seed(self.run.settings["seed"], task.suite, task.number, 0)
        body = task.body | {
            "model": model, "temperature": ANCHOR_TEMPERATURE, "seed": seed,
            # A race does not change the answer, only its cost.
            "tutti": {"trace": True, "seed": seed, "race": "single"} | self.members}
        row = {"column": column, "suite": task.suite, "number": task.number, "label": task.label}
        try:
            answer = self.endpoint.ask(body)
        except (Refused, Unreachable) as error:
            return row | {"error": str(error), "score": 0.0, "tokens": None, "calls": 0}
        return row | {
            "score": task.judge(answer.text), "text": answer.text, "tokens": answer.tokens,
            "calls": answer.calls, "seconds": answer.seconds, "cut": answer.cut,
            "confidence": answer.tutti.get("confidence"), "choice": answer.tutti.get("choice"),
            "reason": answer.tutti.get("reason")}


def each(items, work, take, concurrency, until=None):
    """Calls `work` on the items in several threads, and `take(item, outcome)` in this thread.

    No item is begun after the time `until` of the monotonic clock. The threads die with the
    process, so an interruption does not wait for a slow server. Finished items are taken before
    KeyboardInterrupt propagates.
    """
    waiting, finished, stopped = queue.SimpleQueue(), queue.SimpleQueue(), threading.Event()
    for item in items:
        waiting.put(item)

    def serve():
        while not stopped.is_set() and (until is None or time.monotonic() < until):
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                break
            try:
                finished.put((item, work(item), None))
            except Exception as error:  # an error of this program must not vanish in a thread
                finished.put((item, None, error))
        finished.put(None)

    running = min(concurrency, len(items))
    for _ in range(running):
        threading.Thread(target=serve, daemon=True).start()
    try:
        while running:
            done = finished.get()
            if done is None:
                running -= 1
                continue
            item, outcome, error = done
            if error:
                raise error
            take(item, outcome)
    except BaseException:
        stopped.set()
        while not finished.empty():
            done = finished.get()
            if done and not done[2]:
                take(done[0], done[1])
        raise
