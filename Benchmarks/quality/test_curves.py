"""Tests of the columns, the report and the chart. From this folder: python3 -m unittest"""

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree

import curves
import suites
import svg
from columns import AGREEMENT, HALVES, Pool, read_choices, replay_lines, staged
from state import Run

SETTINGS = {"seed": 1, "sample_temperature": 0.7, "levels": []}


def draw(number, n, vote, right, suite="closed", model="m", tokens=10, **more):
    return {"suite": suite, "number": number, "label": "made", "model": model, "n": n,
            "score": float(right), "vote": vote, "text": f"Answer: {vote}", "tokens": tokens,
            "seconds": 1.0, "cut": False} | more


def result(number, score, suite="closed", column="tutti/ensemble", tokens=20, calls=2, **more):
    return {"column": column, "suite": suite, "number": number, "label": "made", "score": score,
            "text": "x", "tokens": tokens, "calls": calls, "seconds": 1.0, "cut": False} | more


class Folder(unittest.TestCase):
    def run_with(self, draws=(), results=(), **settings):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        run = Run(holder.name, SETTINGS | settings)
        self.addCleanup(run.close)
        for row in draws:
            run.draws.append(row)
        for row in results:
            run.results.append(row)
        return run

    def pool(self, draws=(), results=(), **more):
        return Pool([self.run_with(draws, results)], **more)


class ColumnTests(Folder):
    def test_the_score_of_samples_does_not_depend_on_their_order(self):
        votes = ["a", "b", "b"]
        for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
            pool = self.pool([draw(0, 0, "a", True)] + [
                draw(0, n, votes[i], votes[i] == "b") for n, i in enumerate(order, 1)])
            scores = [pool.consistency("closed", k).score for k in (1, 3)]
            self.assertAlmostEqual(scores[0], 2 / 3)
            self.assertEqual(scores[1], 1)

    def test_the_cost_of_samples_is_their_sum(self):
        pool = self.pool([draw(0, n, "a", True) for n in range(4)])
        self.assertEqual([pool.consistency("closed", k).mean("tokens") for k in (1, 2, 3)],
                         [10, 20, 30])
        self.assertEqual(pool.once("closed").mean("tokens"), 10)

    def test_a_curve_ends_where_too_few_tasks_have_samples(self):
        rows = [draw(task, n, "a", True) for task in range(3) for n in range(2)]
        pool = self.pool(rows + [draw(0, 2, "a", True)])
        self.assertEqual(pool.depth("closed"), 1)
        self.assertEqual(len(pool.consistency("closed", 1).cells), 3)
        pool = self.pool(rows + [draw(task, 2, "a", True) for task in range(2)])
        self.assertEqual(pool.depth("closed"), 2)
        self.assertEqual(len(pool.consistency("closed", 1).cells), 2)

    def test_a_failed_draw_is_replaced_by_a_later_one(self):
        failed = {"suite": "closed", "number": 0, "label": "made", "model": "m", "n": 0,
                  "error": "x"}
        pool = self.pool([failed, draw(0, 0, "a", True)])
        self.assertEqual(pool.once("closed").score, 1)

    def test_an_error_of_a_pattern_scores_0_and_the_latest_row_counts(self):
        pool = self.pool(results=[
            result(0, 1.0), result(1, 0.0, error="HTTP 502"), result(2, 0.0, error="HTTP 502"),
            result(2, 1.0)])
        column = pool.pattern("closed", "tutti/ensemble")
        self.assertAlmostEqual(column.score, 2 / 3)
        self.assertEqual(len(column.answered), 2)

    def test_half_of_the_tasks(self):
        rows = [draw(task, 0, "a", True) for task in range(40)]
        halves = [self.pool(rows, half=half).once("closed").cells for half in HALVES]
        self.assertEqual(sum(map(len, halves)), 40)
        self.assertFalse(set(halves[0]) & set(halves[1]))
        for cells in halves:
            self.assertGreater(len(cells), 12)
            # Neighbours are of different data sets, so a half must not have every second task.
            self.assertEqual({int(name.split("/")[1].split("@")[0]) % 2 for name in cells}, {0, 1})

    def test_runs_with_other_seeds_are_one_pool_and_programs_count_once(self):
        rows = [draw(0, 0, "a", True), draw(0, 0, None, True, "code")]
        pool = Pool([self.run_with(rows), self.run_with(rows, seed=2)])
        self.assertEqual(len(pool.once("closed").cells), 2)
        self.assertEqual(len(pool.once("code").cells), 1)

    def test_the_model_of_the_curves_is_the_one_with_most_draws(self):
        pool = self.pool([draw(0, 0, "a", True, model="a"), draw(0, 0, "b", False, model="m"),
                          draw(0, 1, "b", False, model="m")])
        self.assertEqual(pool.models, ["m", "a"])
        self.assertEqual(pool.once("closed").score, 0)
        self.assertEqual(pool.once("closed", "a").score, 1)


class ChoiceTests(Folder):
    def task(self):
        return {"json/0@1": suites.load("json", 1, 1)[0]}

    def test_each_line_has_the_first_answers_and_the_schema(self):
        pool = self.pool([draw(0, n, "a", True, "json", cut=n == 1) for n in range(3)])
        lines = [json.loads(line) for line in replay_lines(pool, self.task(), {"overturn": 2_000})]
        self.assertEqual([line["id"] for line in lines],
                         ["json/0@1#1", "json/0@1#2", "json/0@1#3"])
        self.assertEqual([len(line["drafts"]) for line in lines], [1, 2, 3])
        self.assertEqual([d["cut"] for d in lines[2]["drafts"]], [False, True, False])
        self.assertEqual(json.loads(lines[0]["schema"])["type"], "object")
        self.assertEqual(lines[0]["kind"], "json")
        self.assertEqual(lines[0]["rules"], {"overturn": 2_000})

    def test_a_second_model_is_one_more_draft_with_its_weight(self):
        pool = self.pool([draw(0, n, "a", True, "json") for n in range(2)]
                         + [draw(0, 0, "z", True, "json", model="other")])
        lines = [json.loads(line) for line in replay_lines(pool, self.task(), None, "other", 0.5)]
        self.assertEqual([d["weight"] for d in lines[1]["drafts"]], [1_000, 1_000, 500])
        self.assertEqual(lines[1]["drafts"][2]["text"], "Answer: z")

    def test_a_settled_choice_costs_only_what_was_bought(self):
        rows = [draw(0, n, "ab"[n == 2], n == 0) for n in range(3)]
        known = read_choices(json.dumps(row) for row in [
            {"id": "t#1", "index": 0, "settled_after": 1, "settled_index": 0, "confidence": None},
            {"id": "t#2", "index": 0, "settled_after": 2, "settled_index": 0, "confidence": 1000},
            {"id": "t#3", "index": 2, "settled_after": 2, "settled_index": 0, "confidence": 667}])
        cell = staged(rows, known["t"], 3)
        self.assertEqual((cell.score, cell.tokens, cell.calls, cell.confidence), (1, 20, 2, 1.0))

    def test_a_question_without_any_text_keeps_the_anchor(self):
        rows = [draw(0, n, None, False) for n in range(2)]
        cell = staged(rows, [{"error": "the line has no text"}] * 2, 2)
        self.assertEqual((cell.score, cell.tokens), (0, 20))

    def test_the_program_is_asked_and_its_choices_are_kept(self):
        run = self.run_with([draw(0, n, "a", n == 1, "json") for n in range(3)])
        with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
            file.write(f"#!{sys.executable}\nimport json, sys\nfor line in sys.stdin:\n"
                       "    row = json.loads(line)\n    k = len(row['drafts'])\n"
                       "    print(json.dumps({'id': row['id'], 'index': min(1, k - 1), "
                       "'settled_after': k, 'settled_index': min(1, k - 1), "
                       "'confidence': 500}))\n")
        self.addCleanup(os.remove, file.name)
        os.chmod(file.name, 0o700)
        shown = curves.write_report([run], replay=file.name)
        self.assertIn(f"| {AGREEMENT}, 2 | 1 | 1.000 |", shown)
        self.assertIn(f"| {AGREEMENT}, 3 | 1 | 1.000 |", curves.write_report([run]))


class ReportTests(Folder):
    def found(self, draws, results=()):
        pool = self.pool(draws, results)
        return curves.report(pool, None)[1]

    def anchors(self, count, right=0):
        return [draw(n, k, "a" if n < right else "b", n < right)
                for n in range(count) for k in range(3)]

    def test_a_pattern_is_compared_task_by_task(self):
        found = self.found(self.anchors(12, 2), [result(n, float(n < 10)) for n in range(12)])
        [pattern] = [c for c in found["against_once"] if c["column"] == "tutti/ensemble"]
        self.assertEqual((pattern["won"], pattern["lost"], pattern["tasks"]), (8, 0, 12))
        self.assertAlmostEqual(pattern["p"], 2 / 2**8)
        self.assertEqual(pattern["tokens"], 2)
        self.assertEqual(found["overall"][0]["better"], ["closed"])

    def test_the_p_of_a_pattern_are_adjusted_over_the_suites(self):
        rows = self.anchors(8) + [dict(row, suite="json") for row in self.anchors(8)]
        found = self.found(rows, [result(n, 1.0, suite) for n in range(8)
                                  for suite in ("closed", "json")])
        for c in found["against_once"]:
            if c["column"] == "tutti/ensemble":
                self.assertAlmostEqual(c["holm"], 2 * c["p"])

    def test_samples_are_neither_won_nor_lost(self):
        found = self.found(self.anchors(4, 2))
        self.assertEqual({(c["won"], c["p"]) for c in found["against_once"]}, {(None, None)})

    def test_a_pattern_beyond_the_curve_is_marked(self):
        for tokens, place in [(5, "fewer tokens than the curve"), (20, ""), (15, ""),
                              (99, "more tokens than the curve")]:
            found = self.found(self.anchors(3), [result(n, 1.0, tokens=tokens) for n in range(3)])
            self.assertEqual(found["against_curve"][0]["place"], place)
            self.assertEqual(found["against_curve"][0]["difference"], 1)

    def test_requests_with_more_calls_are_counted_with_their_wins(self):
        found = self.found(self.anchors(4, 1), [
            result(n, float(n < 2), column="tutti/auto", calls=1 + n % 2) for n in range(4)])
        self.assertEqual(found["spending"], [{
            "suite": "closed", "column": "tutti/auto", "tasks": 4, "several": 2, "won": 1,
            "lost": 0}])

    def test_the_calibration_has_thirds_of_the_confidence(self):
        found = self.found(self.anchors(9, 9), [
            result(n, float(n > 5), confidence=n / 10) for n in range(9)])
        [row] = found["calibration"]
        self.assertEqual([round(score, 2) for _, _, score in row["thirds"]], [0, 0, 1])
        self.assertEqual(row["separation"], 1)

    def test_likelihoods_and_agreement_are_compared(self):
        rows = [draw(n, k, "a" if k == 0 or n < 2 else "b", n < 2,
                     logprobs=[-0.1, -1.0 if n < 2 else -2.0]) for n in range(4) for k in range(3)]
        found = self.found(rows)["likelihoods"]
        self.assertEqual({name: c["separation"] for name, c in found.items()}, {
            "mean log-probability": 1, "least log-probability": 1, "share of equal samples": 1})

    def test_an_empty_run_has_a_report(self):
        run = self.run_with()
        self.assertIn("# Quality", curves.write_report([run]))
        xml.etree.ElementTree.parse(run.path("curves.svg"))

    def test_a_run_with_patterns_only_has_a_report(self):
        found = self.found([], [result(0, 1.0)])
        self.assertEqual([c["column"] for c in found["columns"]], ["tutti/ensemble"])
        self.assertIn("tutti/ensemble", curves.markdown(found | {"half": None}))


class ExperimentTests(Folder):
    def test_fields_of_several_objects_are_composed_by_majority(self):
        rows = [draw(0, n, None, False, "json", text=text) for n, text in enumerate(
            ['{"a": 1, "b": 1}', '{"a": 2, "b": 2}', '{"a": 2, "b": 1}', "none"])]
        seen = []
        cell = curves.composed(rows, lambda text: seen.append(json.loads(text)) or 1.0)
        self.assertEqual(seen, [{"a": 2, "b": 1}])
        self.assertEqual((cell.score, cell.tokens), (1.0, 40))

    def test_rules_are_shown_for_each_half(self):
        rows = [draw(t.number, n, t.vote(t.expected), n > 0, "json", text=t.expected)
                for t in suites.load("json", 9, 1) for n in range(3)]
        with contextlib.redirect_stdout(io.StringIO()):
            text = curves.experiments(self.pool(rows), None)
        self.assertEqual([text.count(f"## json, tasks to {half}: ") for half in HALVES], [1, 1])
        self.assertIn("| fields composed by majority | 3 |", text)


class ChartTests(Folder):
    def test_the_svg_is_well_formed_and_has_each_column(self):
        pool = self.pool(
            [draw(n, k, "a", True) for n in range(3) for k in range(3)]
            + [draw(n, k, "a", True, "json", tokens=300) for n in range(3) for k in range(3)],
            [result(n, 1.0, column="tutti/<&>") for n in range(3)])
        text = svg.chart({suite: pool.columns(suite) for suite in pool.suites})
        root = xml.etree.ElementTree.fromstring(text)
        names = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        for name in ("once", "self-consistency", "tutti/<&>", "closed", "json"):
            self.assertIn(name, names)
        titles = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
        self.assertEqual(len(titles), 2 * 3 + 1)

    def test_the_scale_ends_at_a_round_number(self):
        for value, above in [(1, 1), (9, 10), (10, 10), (11, 20), (640, 800), (0, 1)]:
            self.assertEqual(svg._above(value), above)


if __name__ == "__main__":
    unittest.main()
