"""Tests of the run and the table with scripted servers. From this folder: python3 -m unittest"""

import json
import threading
import unittest

import report
import tasks
from endpoint import Answer, Refused
from measurement import DIRECT, Measurement, Settings, each


class Equal:
    """A verifier that accepts only the expected text."""

    @staticmethod
    def score_answer(answer, entry):
        return 1.0 if answer == entry["answer"] else 0.0


def made_tasks(count):
    return [tasks.Task(n, "made", {"question": f"What is {n}?", "answer": str(n)}, Equal)
            for n in range(count)]


class ScriptedServer:
    """Answers with the result of `script(model, task, body)`.

    The result is a text, a pair of text and tokens, or an error to raise.
    """

    def __init__(self, script):
        self.script, self.bodies, self.lock = script, [], threading.Lock()

    def ask(self, body):
        with self.lock:
            self.bodies.append(body)
        task = int(body["messages"][0]["content"].split("What is ")[1].split("?")[0])
        said = self.script(body["model"], task, body)
        if isinstance(said, BaseException):
            raise said
        text, tokens = said if isinstance(said, tuple) else (said, 10)
        return Answer(text, tokens, 1, 0.5, False)


def settings(**changes):
    standard = dict(model="m", seed=1, max_tokens=64, temperature=0, sample_temperature=0.7,
                    samples=2, max_samples=8, concurrency=1)
    return Settings(**(standard | changes))


def measure(script, count=4, patterns=(), listed=None, **changes):
    server = ScriptedServer(script)
    measurement = Measurement(
        server, made_tasks(count), settings(**changes), listed, lambda message: None)
    measurement.run(patterns)
    return server, measurement.columns


class RunTests(unittest.TestCase):
    def test_a_right_answer_scores_and_a_wrong_one_does_not(self):
        _, [direct, _] = measure(lambda model, task, body: f"Answer: {task if task < 3 else 'no'}")
        self.assertEqual([r.score for r in direct.results], [1, 1, 1, 0])
        self.assertEqual(direct.score, 0.75)

    def test_a_pattern_that_is_not_listed_is_not_asked(self):
        server, columns = measure(lambda *_: "Answer: 1", patterns=["tutti/debate"], listed=["m"])
        self.assertEqual({body["model"] for body in server.bodies}, {"m"})
        self.assertIn("not offered", report.table(columns, 4))

    def test_a_pattern_that_is_refused_as_unknown_is_asked_once_and_has_no_score(self):
        refusal = Refused("HTTP 404: no such model", 404, True)
        server, columns = measure(
            lambda model, *_: refusal if model == "tutti/debate" else "Answer: 1",
            patterns=["tutti/debate"])
        self.assertEqual([b["model"] for b in server.bodies].count("tutti/debate"), 1)
        self.assertEqual([c.name for c in columns], [DIRECT, "tutti/debate", "self-consistency"])
        self.assertIsNone(columns[1].score)
        self.assertIn("not offered: HTTP 404: no such model", report.table(columns, 4))

    def test_errors_are_counted_and_score_nothing(self):
        _, columns = measure(
            lambda model, task, body:
                Refused("HTTP 502: x", 502) if task == 2 else f"Answer: {task}")
        self.assertEqual(columns[0].score, 0.75)
        self.assertEqual(len(columns[0].answered), 3)
        self.assertEqual(columns[0].mean("tokens"), 10)
        self.assertEqual(report.rows(columns, 4)[0][-1], "1")

    def test_self_consistency_spends_what_the_pattern_spent(self):
        server, columns = measure(
            lambda model, task, body: (f"Answer: {task}", 42 if model == "tutti/ensemble" else 10),
            patterns=["tutti/ensemble"])
        voted = columns[-1]
        self.assertEqual((voted.budget_of, voted.samples), ("tutti/ensemble", 4))
        self.assertEqual(voted.mean("tokens"), 40)
        self.assertEqual(voted.mean("calls"), 4)
        self.assertEqual(voted.mean("seconds"), 2)
        samples = [b for b in server.bodies if b.get("temperature") == 0.7]
        self.assertEqual(len(samples), 16)
        self.assertEqual(len({b["seed"] for b in samples}), 16)

    def test_the_number_of_samples_follows_what_later_samples_cost(self):
        # The first samples cost 40 and the others 10, so two samples are too few for 80 tokens.
        first = []

        def script(model, task, body):
            if body.get("temperature") != 0.7:
                return ("Answer: 1", 80)
            first.append(task)
            return ("Answer: 1", 40 if first.count(task) == 1 else 10)

        _, columns = measure(script, patterns=["tutti/ensemble"])
        self.assertEqual(columns[-1].samples, 5)
        self.assertEqual(columns[-1].mean("tokens"), 80)

    def test_without_any_pattern_there_are_as_many_samples_as_were_asked_for(self):
        _, columns = measure(lambda *_: "Answer: 1", listed=["m"], patterns=["tutti/debate"])
        self.assertEqual((columns[-1].name, columns[-1].samples), ("self-consistency", 2))
        self.assertIn("self-consistency, 2 samples", report.table(columns, 4))

    def test_samples_are_shared_by_the_budgets(self):
        server, columns = measure(
            lambda model, *_: ("Answer: 1", {"tutti/a": 30, "tutti/b": 50}.get(model, 10)),
            patterns=["tutti/a", "tutti/b"])
        self.assertEqual([c.samples for c in columns if c.budget_of], [3, 5])
        self.assertEqual(sum(b.get("temperature") == 0.7 for b in server.bodies), 4 * 5)

    def test_the_vote_decides_the_score(self):
        # One sample of each task is right; the two others give the same wrong answer.
        heard = {}

        def script(model, task, body):
            if body.get("temperature") != 0.7:
                return (f"Answer: {task}", 30)
            heard[task] = heard.get(task, 0) + 1
            return f"Answer: {task}" if heard[task] == 1 else "Answer: wrong"

        _, columns = measure(script, patterns=["tutti/ensemble"])
        self.assertEqual(columns[-1].samples, 3)
        self.assertEqual(columns[-1].score, 0)

    def test_a_failed_sample_does_not_vote_and_is_counted(self):
        def script(model, task, body):
            if body.get("temperature") != 0.7:
                return ("Answer: x", 30)
            return Refused("HTTP 500: x", 500) if body["seed"] == lost else f"Answer: {task}"

        lost = -1
        server, _ = measure(script, patterns=["tutti/ensemble"])
        lost = [b for b in server.bodies if b.get("temperature") == 0.7][-1]["seed"]
        _, columns = measure(script, patterns=["tutti/ensemble"])
        voted = columns[-1]
        self.assertEqual(voted.score, 1)
        self.assertEqual(sum(len(r.errors) for r in voted.results), 1)
        self.assertEqual(len(voted.answered), 4)

    def test_without_usage_there_is_no_budget_to_compare_with(self):
        _, columns = measure(lambda *_: ("Answer: 1", None), patterns=["tutti/ensemble"])
        self.assertIn("reported no tokens", report.table(columns, 4))

    def test_the_same_run_sends_the_same_requests(self):
        def run(concurrency):
            server, _ = measure(
                lambda *_: "Answer: 1", 6, ["tutti/ensemble"], concurrency=concurrency)
            return sorted(json.dumps(body) for body in server.bodies)

        self.assertEqual(run(1), run(3))

    def test_patterns_choose_their_own_temperatures(self):
        server, _ = measure(lambda *_: "Answer: 1", patterns=["tutti/ensemble"])
        for body in server.bodies:
            self.assertEqual("temperature" in body, body["model"] == "m")

    def test_only_tutti_is_sent_its_options(self):
        for listed, told in [(["m"], False), (["m", "tutti/fast"], True), (None, False)]:
            server, _ = measure(lambda *_: "Answer: 1", listed=listed)
            self.assertEqual("tutti" in server.bodies[0], told)

    def test_an_interruption_keeps_what_is_there(self):
        server = ScriptedServer(lambda model, task, body: f"Answer: {task}")
        said = []

        def say(message):
            said.append(message)
            if len(said) == 3:
                raise KeyboardInterrupt

        measurement = Measurement(server, made_tasks(9), settings(), None, say)
        with self.assertRaises(KeyboardInterrupt):
            measurement.run([])
        shown = report.text(measurement.columns, 9, 1, True)
        self.assertGreaterEqual(len(measurement.columns[0].results), 3)
        self.assertIn("Interrupted", shown)

    def test_a_mistake_of_ours_does_not_vanish_in_a_thread(self):
        with self.assertRaises(ZeroDivisionError):
            each([1], lambda item: item / 0, lambda *_: None, 2)


class ReportTests(unittest.TestCase):
    def test_differences_are_taken_task_by_task(self):
        _, columns = measure(
            lambda model, task, body:
                "Answer: no" if model == "m" and task > 1 else f"Answer: {task}",
            patterns=["tutti/ensemble"])
        pairs = report.comparisons(columns, 1)
        self.assertEqual([p["minus"] for p in pairs],
                         [DIRECT, "self-consistency for tutti/ensemble, 1 sample"])
        self.assertEqual([p["difference"] for p in pairs], [0.5, 0.5])
        self.assertEqual(pairs[1]["token_ratio"], 1.0)

    def test_equal_scores_are_said_to_be_equal(self):
        _, columns = measure(lambda *_: "Answer: 1", patterns=["tutti/ensemble"])
        self.assertIn("scores are the same on every task", report.text(columns, 4, 1, False))


if __name__ == "__main__":
    unittest.main()
