"""Tests of the suites. From this folder: python3 -m unittest"""

import importlib.util
import json
import os
import tempfile
import unittest

import suites
from suites import programs, reasoning


class GeneratedTests(unittest.TestCase):
    def test_the_same_seed_gives_the_same_tasks_and_another_gives_others(self):
        for suite in ("json", "documents"):
            def prompts(count, seed):
                return [task.prompt for task in suites.load(suite, count, seed)]

            self.assertEqual(prompts(60, 1), prompts(60, 1))
            self.assertEqual(prompts(60, 1)[:9], prompts(9, 1))
            self.assertNotEqual(prompts(9, 1), prompts(9, 2))
            self.assertEqual(len(set(prompts(60, 1))), 60)

    def test_reference_answers_score_1(self):
        for seed in range(5):
            for task in suites.load("json", 60, seed):
                self.assertEqual(task.judge(task.expected), 1)
                self.assertEqual(task.judge(f"```json\n{task.expected}\n```"), 1)
            for task in suites.load("documents", 60, seed):
                self.assertEqual(task.judge(f"It is {task.expected}."), 1)

    def test_prompts_of_documents_are_short(self):
        for task in suites.load("documents", 60, 1):
            self.assertLess(len(task.prompt), 1_100)


class ExtractionTests(unittest.TestCase):
    task = suites.load("json", 2, 1)[1]

    def changed(self, **values):
        return self.task.judge(json.dumps(json.loads(self.task.expected) | values))

    def test_each_wrong_field_costs_its_share(self):
        self.assertEqual(self.changed(room=1), 0.8)
        self.assertEqual(self.changed(room=1, time="x"), 0.6)

    def test_a_value_of_another_type_is_wrong(self):
        room = json.loads(self.task.expected)["room"]
        self.assertEqual(self.changed(room=str(room)), 0.8)
        self.assertEqual(self.changed(room=float(room)), 1)
        self.assertEqual(self.changed(room=True), 0.8)

    def test_case_space_and_the_order_of_a_list_do_not_matter(self):
        found = json.loads(self.task.expected)
        self.assertEqual(self.changed(attendees=found["attendees"][::-1]), 1)
        self.assertEqual(self.changed(day=f" {found['day'].upper()} "), 1)

    def test_what_is_no_object_scores_0_and_does_not_vote(self):
        for text in ("", "[]", "none", '{"a": 1} {"b": 2}', "[" * 100_000):
            self.assertEqual(self.task.judge(text), 0)
            self.assertIsNone(self.task.vote(text))

    def test_the_same_values_in_another_order_are_one_vote(self):
        found = json.loads(self.task.expected)
        self.assertEqual(self.task.vote(json.dumps(dict(reversed(found.items())))),
                         self.task.vote(self.task.expected))

    def test_the_schema_names_every_field(self):
        schema = self.task.form["response_format"]["json_schema"]["schema"]
        self.assertEqual(schema["required"], list(json.loads(self.task.expected)))
        self.assertEqual(list(schema["properties"]), schema["required"])


class DocumentTests(unittest.TestCase):
    def test_an_answer_that_names_every_candidate_is_wrong(self):
        for task in suites.load("documents", 60, 3):
            self.assertEqual(task.judge(task.prompt), 0, task.prompt)
            self.assertEqual(task.judge(""), 0)

    def test_a_number_inside_another_is_not_the_answer(self):
        task = next(t for t in suites.load("documents", 9, 1) if t.label == "staff by city")
        self.assertEqual(task.judge(f"1{task.expected}"), 0)

    def test_a_last_name_is_enough(self):
        task = next(t for t in suites.load("documents", 9, 1) if t.label == "head by city")
        self.assertEqual(task.judge(f"Mr {task.expected.split()[-1]}"), 1)


class ProgramTests(unittest.TestCase):
    problems = programs.problems()

    def test_there_are_60_with_different_names_and_two_examples(self):
        self.assertEqual(len({problem["name"] for problem in self.problems}), 60)
        for problem in self.problems:
            self.assertEqual(len(problem["examples"]), 2)
            self.assertGreaterEqual(len(problem["tests"]), 3)

    def test_the_reference_passes_and_an_empty_function_fails(self):
        for problem in self.problems:
            with self.subTest(problem["name"]):
                code = "\n".join(problem["reference"])
                self.assertEqual(programs.passes(problem, f"```python\n{code}\n```"), 1)
                empty = f"def {problem['name']}(*arguments):\n    pass\n"
                self.assertEqual(programs.passes(problem, empty), 0)

    def test_hidden_tests_are_not_in_the_prompt(self):
        for problem in self.problems:
            text = programs.prompt(problem)
            for arguments, result in problem["tests"]:
                call = f"{problem['name']}({', '.join(map(repr, arguments))}) =="
                self.assertNotIn(call, text)

    def run_first(self, code):
        problem = self.problems[0]
        return programs.run(code + "\n" + "\n".join(problem["reference"]), problem["name"], [[16]])

    def test_no_program_can_write_outside(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "written")
            for code in (
                f"open({path!r}, 'w')", f"open({path!r}, 'ab')",
                f"import os\nos.open({path!r}, os.O_CREAT | os.O_RDWR)",
                f"import os\nos.mkdir({path!r})", f"import os\nos.symlink('/', {path!r})",
                f"import os\nos.system('touch {path}')",
                f"import pathlib\npathlib.Path({path!r}).touch()",
                f"import subprocess\nsubprocess.run(['touch', {path!r}])",
                "import socket\nsocket.create_connection(('127.0.0.1', 9))", "import os\nos.fork()",
                f"import os\nos.rmdir({folder!r})", "import ctypes\nctypes.CDLL(None)",
                f"import sqlite3\nsqlite3.connect({path!r})",
            ):
                self.assertIsNone(self.run_first(code), code)
                self.assertEqual(os.listdir(folder), [])

    def test_usual_imports_and_prints_are_allowed(self):
        self.assertEqual(self.run_first(
            "import re, math, itertools, functools, collections, typing, heapq, bisect, string, "
            "datetime, json, copy, random, statistics, fractions, decimal, dataclasses, enum\n"
            "print('hello')"), [["60"]])

    def test_programs_that_hang_or_fill_the_memory_or_exit_fail(self):
        for code in ("x = 'a' * 10**10", "raise SystemExit", "import os\nos._exit(0)",
                     "def f(): f()\nf()", "print(input())"):
            self.assertIsNone(self.run_first(code), code)

    def test_the_program_is_found_in_an_answer(self):
        for text in ("def f(): return 1",
                     "Here:\n```python\ndef f(): return 1\n```\nand\n```\nf(\n```",
                     "```python\nimport math\n```\n```python\ndef f(): return 1\n```",
                     "```python\ndef f(): return 1\n"):
            self.assertIn("def f()", programs.code_of(text, "f") or "", text)
        for text in ("", "```python\ndef g(): return 1\n```", "```python\ndef f(: return 1\n```",
                     "Sorry, def f(): return 1 is not"):
            self.assertIsNone(programs.code_of(text, "f"), text)

    def test_values_are_compared_by_type(self):
        for found, expected, equal in [
            (1, 1.0, True), (True, 1, False), (0, False, False), ([1], [1], True),
            ([1], [True], False), ("1", 1, False), (None, None, True), ({}, {"a": 1}, False),
            ({"a": 1}, {"a": 1.0}, True),
            (0.1 + 0.2, 0.3, True), ([1, 2], [2, 1], False), (None, 0, False)]:
            self.assertEqual(programs.same(found, expected), equal, (found, expected))


class LevelTests(unittest.TestCase):
    def test_the_file_of_levels_names_candidates(self):
        levels = reasoning.known_levels()
        self.assertLessEqual(set(levels), set(reasoning.all_levels()))
        self.assertGreater(len(levels), 0)

    def test_a_file_without_levels_is_unusable(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("{}")
            file.flush()
            with self.assertRaises(suites.Unusable):
                reasoning.known_levels(file.name)

    def test_an_unknown_suite_is_named(self):
        with self.assertRaisesRegex(suites.Unusable, "prose"):
            suites.load("prose", 1, 1)


@unittest.skipUnless(importlib.util.find_spec("reasoning_gym"), "reasoning-gym is not installed")
class ReasoningGymTests(unittest.TestCase):
    levels = reasoning.all_levels()

    def test_every_task_is_solved_by_its_own_answer_through_our_extraction(self):
        for task in suites.load("closed", 4 * len(self.levels), 1, self.levels):
            with self.subTest(task.label):
                self.assertEqual(task.judge(f"I think so.\nAnswer: {task.expected}"), 1.0)
                self.assertEqual(task.judge("Answer: nothing of the kind"), 0.0)
                self.assertEqual(task.judge(""), 0.0)
                self.assertIsNotNone(task.vote(f"Answer: {task.expected}"))

    def test_the_same_seed_gives_the_same_tasks_and_another_gives_others(self):
        def prompts(count, seed):
            return [task.prompt for task in suites.load("closed", count, seed, self.levels[:3])]

        self.assertEqual(prompts(7, 1), prompts(7, 1))
        self.assertEqual(prompts(7, 1)[:4], prompts(4, 1))
        self.assertNotEqual(prompts(7, 1), prompts(7, 2))

    def test_no_question_comes_twice(self):
        tasks = suites.load("closed", 200, 1, self.levels)
        self.assertEqual(len({(task.label, task.prompt) for task in tasks}), len(tasks))

    def test_an_unknown_level_is_named(self):
        with self.assertRaisesRegex(suites.Unusable, "no_such-0"):
            suites.load("closed", 1, 1, ["no_such-0"])


if __name__ == "__main__":
    unittest.main()
