#!/usr/bin/env python3
"""Reports a run: scores at equal tokens, as Markdown, JSON and SVG, and experiments with choices.

    python3 curves.py report --out DIR [--replay ChoiceReplay]
    python3 curves.py try --out DIR [--replay ChoiceReplay]

`report` compares each way of answering with the model once and with self-consistency at the same
tokens. `try` compares rules of choosing, separately for the half of the tasks by which a rule is
decided, and the half on which it is reported. Several folders are one run with several seeds.
"""

import argparse
import dataclasses
import json
import platform
import subprocess
import sys

import scoring
import suites
import svg
from columns import (
    CONSISTENCY, HALVES, ONCE, Pool, cell, elected, half_of, read_choices, replay_lines, staged)
from options import UNAVAILABLE, Parser, fail
from state import Run, write

FILES = ("report.md", "report.json", "curves.svg")

# Rules of the product that are tried one at a time, by the names that ChoiceReplay has for them,
# and the suite that a rule is about.
RULES = {
    "standard": (None, None),
    "a vote needs a margin of two": ("closed", {"overturn": 2_000}),
    "code is overturned by agreement": ("code", {"code_overturns": True}),
    "fields need 50 more": ("json", {"field_margin": 50}),
    "fields need 200 more": ("json", {"field_margin": 200}),
    "prose needs 40 more": ("documents", {"prose_margin": 40}),
    "prose needs 120 more": ("documents", {"prose_margin": 120}),
}
SECOND_WEIGHTS = (0.5, 1.0)


# MARK: - Comparisons


def compare_once(column, once, seed):
    """Compares a column with the model once, task by task. Returns None without common tasks."""
    common = [task for task in column.cells if task in once.cells]
    if not common:
        return None
    # The curve's scores are means over several choices of samples, which are neither won nor lost.
    single = column.name != CONSISTENCY
    differences = [column.cells[task].score - once.cells[task].score for task in common]
    won, lost = sum(d > 1e-9 for d in differences), sum(d < -1e-9 for d in differences)
    return {
        "suite": column.suite, "column": column.label, "minus": ONCE, "tasks": len(common),
        "difference": sum(differences) / len(common),
        "interval": scoring.paired_interval(differences, seed),
        "won": won if single else None, "lost": lost if single else None,
        "p": scoring.sign_test(won, lost) if single else None, "holm": None,
        "tokens": ratio([column.cells[t] for t in common], [once.cells[t] for t in common])}


def compare_curve(column, curve, seed):
    """Compares a column with the curve of self-consistency at the same tokens."""
    common = [task for task, found in column.cells.items()
              if found.tokens is not None and all(task in c.cells for c in curve)]
    if not common or not curve:
        return None

    def points(other):
        return [(other.cells[task].tokens, other.cells[task].score) for task in common]

    difference, interval = scoring.equal_token_differences(
        points(column), [points(other) for other in curve], seed)
    spent = sum(column.cells[task].tokens for task in common) / len(common)
    ends = [sum(other.cells[task].tokens for task in common) / len(common) for other in curve]
    place = "" if min(ends) <= spent <= max(ends) else (
        "fewer tokens than the curve" if spent < min(ends) else "more tokens than the curve")
    return {"suite": column.suite, "column": column.label, "minus": f"{CONSISTENCY} at its tokens",
            "tasks": len(common), "difference": difference, "interval": interval, "place": place}


def ratio(ones, others):
    both = [(one.tokens, other.tokens) for one, other in zip(ones, others)
            if one.tokens is not None and other.tokens]
    return sum(a for a, _ in both) / sum(b for _, b in both) if both else None


def comparisons(by_suite, seed):
    """Returns (against once, against the curve). The p of a column are adjusted over suites."""
    once, curve = [], []
    for columns in by_suite.values():
        base = next((c for c in columns if c.name == ONCE), None)
        samples = [c for c in columns if c.name == CONSISTENCY]
        for column in columns:
            if column is base:
                continue
            if base:
                once.append(compare_once(column, base, seed))
            if column not in samples and samples:
                curve.append(compare_curve(column, samples, seed))
    once = [found for found in once if found]
    for name in {found["column"] for found in once}:
        family = [c for c in once if c["column"] == name and c["p"] is not None]
        for found, p in zip(family, scoring.holm([found["p"] for found in family])):
            found["holm"] = p
    return once, [found for found in curve if found]


def overall(once):
    """Returns the comparison of each column with the model once over all suites.

    Every suite has the same weight in the difference. The test counts tasks of all suites.
    """
    found = []
    for name in dict.fromkeys(c["column"] for c in once if c["p"] is not None):
        family = [c for c in once if c["column"] == name]
        won, lost = sum(c["won"] for c in family), sum(c["lost"] for c in family)
        found.append({
            "column": name, "suites": len(family), "tasks": sum(c["tasks"] for c in family),
            "difference": sum(c["difference"] for c in family) / len(family), "won": won,
            "lost": lost, "p": scoring.sign_test(won, lost),
            "worse": [c["suite"] for c in family if c["difference"] < 0 and c["holm"] < 0.05],
            "better": [c["suite"] for c in family if c["difference"] > 0 and c["holm"] < 0.05]})
    return found


def spending(by_suite):
    """Returns how often a pattern made more than one call, and what these requests won."""
    found = []
    for suite, columns in by_suite.items():
        base = next((c for c in columns if c.name == ONCE), None)
        for column in columns:
            if column.size or column.name.startswith(ONCE) or not base:
                continue
            several = [task for task, c in column.cells.items() if c.calls > 1 and not c.error]
            pairs = [(column.cells[t].score, base.cells[t].score) for t in several
                     if t in base.cells]
            found.append({
                "suite": suite, "column": column.label, "tasks": len(column.cells),
                "several": len(several), "won": sum(a > b for a, b in pairs),
                "lost": sum(a < b for a, b in pairs)})
    return found


def calibration(by_suite):
    """Returns the mean score by thirds of the confidence, for columns that have confidences."""
    found = []
    for suite, columns in by_suite.items():
        for column in columns:
            known = sorted((c.confidence, c.score) for c in column.cells.values()
                           if c.confidence is not None)
            if len(known) < 6:
                continue
            cuts = [len(known) * n // 3 for n in range(4)]
            thirds = [known[a:b] for a, b in zip(cuts, cuts[1:])]
            found.append({
                "suite": suite, "column": column.label, "tasks": len(known),
                "unknown": len(column.cells) - len(known),
                "thirds": [(third[0][0], third[-1][0], sum(s for _, s in third) / len(third))
                           for third in thirds],
                "separation": separation(known)})
    return found


def separation(known):
    """Returns how well a value separates right answers from wrong ones. `known`: (value, score)."""
    return scoring.separation([value for value, score in known if score >= 0.999],
                              [value for value, score in known if score < 0.999])


def likelihoods(pool):
    """Returns how well log-probabilities and agreement separate right anchors from wrong ones."""
    mean, least, agreement = [], [], []
    for task in pool.tasks("closed"):
        rows = pool.answers(task)
        anchor = rows[0]
        found = anchor.get("logprobs")
        if found:
            mean.append((sum(found) / len(found), anchor["score"]))
            least.append((min(found), anchor["score"]))
        if len(rows) > 1 and anchor["vote"] is not None:
            same = sum(row["vote"] == anchor["vote"] for row in rows[1:])
            agreement.append((same / (len(rows) - 1), anchor["score"]))
    return {name: {"tasks": len(known), "separation": separation(known)} for name, known in (
        ("mean log-probability", mean), ("least log-probability", least),
        ("share of equal samples", agreement)) if known}


# MARK: - Report


def report(pool, choices, interrupted=False):
    """Returns all figures of a run, as one value of JSON."""
    seed = min(pool.seed_of.values(), default=0)
    by_suite = {suite: pool.columns(suite, choices) for suite in pool.suites}
    once, curve = comparisons(by_suite, seed)
    return by_suite, {
        "model": pool.model, "models": pool.models, "interrupted": interrupted,
        "settings": [run.settings for run in pool.runs],
        "versions": {"python": platform.python_version()},
        "columns": [row(column) for columns in by_suite.values() for column in columns],
        "against_once": once, "against_curve": curve, "overall": overall(once),
        "spending": spending(by_suite),
        "calibration": calibration(by_suite), "likelihoods": likelihoods(pool)}


def row(column):
    count = len(column.cells)
    return {
        "suite": column.suite, "column": column.label, "tasks": count, "score": column.score,
        "interval": scoring.wilson(min(1.0, column.score), count),
        "right": sum(c.score >= 0.999 for c in column.cells.values()),
        "tokens": column.mean("tokens"), "calls": column.mean("calls"),
        "seconds": column.mean("seconds"), "cut": sum(c.cut for c in column.cells.values()),
        "errors": sum(c.error is not None for c in column.cells.values()),
        "cells": {task: dataclasses.asdict(c) for task, c in column.cells.items()}}


def table(headings, rows):
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows] + [""]


def number(value, digits=0):
    return "–" if value is None else f"{value:.{digits}f}"


def signed(interval):
    return "no task differs" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"


def markdown(found):
    lines = ["# Quality at equal tokens", ""]
    seeds = ", ".join(str(settings["seed"]) for settings in found["settings"])
    lines += [f"Model {found['model']}, seed {seeds}. The curves are in `curves.svg`.", ""]
    if found.get("half"):
        lines += [f"Only the half of the tasks that is there to {found['half']}.", ""]
    if found["interrupted"]:
        lines += ["**Interrupted:** columns have different numbers of tasks, or are missing.", ""]
    if found["overall"]:
        lines += [f"## Against {ONCE}, over all suites", ""]
        lines += table(
            ["way", "suites", "tasks", "mean difference", "won", "lost", "p",
             "significantly better", "significantly worse"],
            [[c["column"], str(c["suites"]), str(c["tasks"]), f"{c['difference']:+.3f}",
              str(c["won"]), str(c["lost"]), f"{c['p']:.4f}", ", ".join(c["better"]) or "–",
              ", ".join(c["worse"]) or "–"] for c in found["overall"]])
    suites_found = list(dict.fromkeys(column["suite"] for column in found["columns"]))
    for suite in suites_found:
        lines += [f"## {suite}", ""]
        lines += table(
            ["way", "tasks", "score", "95 % interval", "right", "tokens", "calls", "seconds", "cut",
             "errors"],
            [[c["column"], str(c["tasks"]), f"{c['score']:.3f}",
              f"{c['interval'][0]:.3f} to {c['interval'][1]:.3f}", str(c["right"]),
              number(c["tokens"]), number(c["calls"], 1), number(c["seconds"], 1), str(c["cut"]),
              str(c["errors"])] for c in found["columns"] if c["suite"] == suite])
        against = [c for c in found["against_once"] if c["suite"] == suite]
        if against:
            lines += [f"Against {ONCE}, on the same tasks:", ""]
            lines += table(
                ["way", "tasks", "difference", "95 % interval", "won", "lost", "p", "p (Holm)",
                 "tokens"],
                [[c["column"], str(c["tasks"]), f"{c['difference']:+.3f}", signed(c["interval"]),
                  number(c["won"]), number(c["lost"]), number(c["p"], 4), number(c["holm"], 4),
                  "–" if c["tokens"] is None else f"× {c['tokens']:.2f}"] for c in against])
        curve = [c for c in found["against_curve"] if c["suite"] == suite]
        if curve:
            lines += [f"Against {CONSISTENCY} at the same tokens:", ""]
            lines += table(
                ["way", "tasks", "difference", "95 % interval", "remark"],
                [[c["column"], str(c["tasks"]), f"{c['difference']:+.3f}", signed(c["interval"]),
                  c["place"]] for c in curve])
    if found["spending"]:
        lines += ["## Requests with more than one call", ""]
        lines += table(
            ["way", "suite", "tasks", "more than one call", "of these won", "lost"],
            [[c["column"], c["suite"], str(c["tasks"]),
              f"{c['several']} ({100 * c['several'] / c['tasks']:.0f} %)", str(c["won"]),
              str(c["lost"])] for c in found["spending"]])
    if found["calibration"]:
        lines += ["## Score by confidence", ""]
        lines += table(
            ["way", "suite", "tasks", "lowest third", "middle third", "highest third",
             "separation", "unknown"],
            [[c["column"], c["suite"], str(c["tasks"])]
             + [f"{score:.2f} ({low:.2f} to {high:.2f})" for low, high, score in c["thirds"]]
             + [number(c["separation"], 2), str(c["unknown"])] for c in found["calibration"]])
    if found["likelihoods"]:
        lines += ["## What separates right anchors of closed questions from wrong ones", ""]
        lines += table(
            ["value", "tasks", "separation"],
            [[name, str(c["tasks"]), number(c["separation"], 2)]
             for name, c in found["likelihoods"].items()])
    return "\n".join(lines).rstrip() + "\n"


def write_report(runs, model=None, replay=None, interrupted=False, half=None):
    """Writes the three files into the folder of the first run. Returns the Markdown."""
    pool = Pool(runs, model, half)
    choices = load_choices(pool, replay)
    by_suite, found = report(pool, choices, interrupted)
    found["half"] = half
    text = markdown(found)
    write(runs[0].path("report.md"), text)
    write(runs[0].path("report.json"), json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    write(runs[0].path("curves.svg"), svg.chart(by_suite))
    return text


# MARK: - Choices


def tasks_of(pool):
    """Returns the tasks of the pool by name."""
    found = {}
    for run in pool.runs:
        numbers = {}
        for name, suite in pool.suite_of.items():
            if pool.seed_of[name] == run.settings["seed"]:
                numbers[suite] = max(numbers.get(suite, 0), pool.numbers[name] + 1)
        for suite, count in numbers.items():
            for task in suites.load(suite, count, run.settings["seed"], run.settings["levels"]):
                name = f"{suite}/{task.number}" + (
                    "" if suite == "code" else f"@{run.settings['seed']}")
                found.setdefault(name, task)
    return found


def choose(program, lines):
    """Returns the choices of the product for lines of questions and drafts."""
    done = subprocess.run([program], input="\n".join(lines) + "\n", capture_output=True, text=True)
    if done.returncode:
        fail(f"{program} ended with status {done.returncode}: {done.stderr[:500]}", UNAVAILABLE)
    return read_choices(done.stdout.splitlines())


def load_choices(pool, replay):
    """Returns the choices of the standard rules: new ones, or those of an earlier report."""
    path = pool.runs[0].path("choices.json")
    if replay:
        found = choose(replay, list(replay_lines(pool, tasks_of(pool))))
        write(path, json.dumps(found) + "\n")
        return found
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError:
        return None


# MARK: - Experiments


def variants(pool, tasks, replay):
    """Yields (suites, name, cells by task and k) for each rule that is tried."""
    second = next((name for name in pool.models if name != pool.model), None)

    def each(select, second_weight=None):
        def cells(task):
            rows = pool.answers(task)
            other = pool.answers(task, second)[:1] if second_weight else []
            return {k: select(rows[:k], other) for k in range(1, len(rows) + 1)}
        return {name: cells(name) for name in pool.draws if name in tasks and pool.answers(name)}

    def vote(margin, weight=0.0):
        def select(rows, other):
            everything = rows + other
            votes = [row["vote"] for row in everything]
            return cell(everything, scoring.anchored(
                votes, margin, [1.0] * len(rows) + [weight] * len(other)))
        return select

    exact = ("closed", "json")
    yield None, "elected, no anchor", each(lambda rows, _: cell(rows, elected(rows)))
    yield exact, "vote, the anchor needs to be outvoted by 1", each(vote(1))
    yield exact, "vote, the anchor needs to be outvoted by 2", each(vote(2))
    if second:
        for weight in SECOND_WEIGHTS:
            yield exact, f"vote by 1, with {second} at {weight}", each(vote(1, weight), weight)
    judges = {name: task.judge for name, task in tasks.items()}
    yield ("json",), "fields composed by majority", {
        name: {k: composed(rows[:k], judges[name]) for k in range(1, len(rows) + 1)}
        for name, rows in ((name, pool.answers(name)) for name in pool.draws)
        if rows and name in tasks and pool.suite_of[name] == "json"}
    if not replay:
        return
    for name, (suite, rules) in RULES.items():
        about = {name: task for name, task in tasks.items() if suite in (None, task.suite)}
        found = choose(replay, list(replay_lines(pool, about, rules)))
        yield None, f"ChoiceReplay: {name}", {
            task: {k: staged(pool.answers(task), known, k) for k in range(1, len(known) + 1)}
            for task, known in found.items()}
    if second:
        for weight in SECOND_WEIGHTS:
            found = choose(replay, list(replay_lines(pool, tasks, None, second, weight)))
            yield None, f"ChoiceReplay: with {second} at {weight}", {
                task: {k: cell((pool.answers(task)[:k] + pool.answers(task, second)[:1]),
                               known[k - 1].get("index", 0)) for k in range(1, len(known) + 1)}
                for task, known in found.items()}


def composed(rows, judge):
    """Returns the cell of an object with the most frequent value of each field, the first of
    equals. Used to find out whether mixing fields would be better than choosing one answer."""
    from suites.extraction import value

    objects = [found for found in (value(row["text"]) for row in rows) if isinstance(found, dict)]
    names = list(dict.fromkeys(name for found in objects for name in found))
    mixed = {}
    for name in names:
        values = [json.dumps(found[name], sort_keys=True) for found in objects if name in found]
        mixed[name] = json.loads(values[scoring.elect(values, values)])
    result = cell(rows)
    result.score = judge(json.dumps(mixed))
    return result


def experiments(pool, replay):
    """Returns the Markdown of all rules that are tried, by suite and half of the tasks."""
    tasks = tasks_of(pool)
    found = list(variants(pool, tasks, replay))
    lines = ["# Rules of choosing", "",
             "Each rule chooses among the anchor and k - 1 samples. One half of the tasks decides;",
             f"the other one is the report. Won and lost: against {ONCE}, on the same tasks.", ""]
    for suite in pool.suites:
        for half in HALVES:
            names = [task for task in pool.tasks(suite, pool.depth(suite) + 1)
                     if half_of({"suite": suite, "number": pool.numbers[task]}) == half]
            if not names:
                continue
            anchors = [pool.answers(task)[0] for task in names]
            lines += [f"## {suite}, tasks to {half}: {len(names)}, {ONCE} "
                      f"{sum(row['score'] for row in anchors) / len(names):.3f} at "
                      f"{sum(row['tokens'] or 0 for row in anchors) / len(names):.0f} tokens", ""]
            rows = []
            for kinds, name, by_task in found:
                if kinds and suite not in kinds:
                    continue
                for k in range(2, pool.depth(suite) + 2):
                    cells = [(by_task[task][k], pool.answers(task)[0]["score"])
                             for task in names if k in by_task.get(task, {})]
                    if not cells:
                        continue
                    won = sum(c.score > once + 1e-9 for c, once in cells)
                    lost = sum(c.score < once - 1e-9 for c, once in cells)
                    rows.append([
                        name, str(k), str(len(cells)),
                        f"{sum(c.score for c, _ in cells) / len(cells):.3f}",
                        f"{sum(c.tokens for c, _ in cells) / len(cells):.0f}", str(won), str(lost),
                        f"{scoring.sign_test(won, lost):.3f}"])
            lines += table(["rule", "k", "tasks", "score", "tokens", "won", "lost", "p"], rows)
    return "\n".join(lines).rstrip() + "\n"


def main(arguments):
    parser = Parser(description="Reports a run, and tries rules of choosing on it.",
                    formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("command", choices=["report", "try"])
    parser.add_argument("--out", action="append", required=True, metavar="DIR",
                        help="folder of a run; repeatable for runs with other seeds")
    parser.add_argument("--model", help="the model of the curves; default: the one with most draws")
    parser.add_argument("--half", choices=HALVES, help="report: only these tasks")
    parser.add_argument("--replay", metavar="PROGRAM", help="the built ChoiceReplay")
    options = parser.parse_args(arguments)
    runs = [Run(folder) for folder in options.out]
    try:
        if options.command == "report":
            print(write_report(runs, options.model, options.replay, half=options.half), end="")
        else:
            text = experiments(Pool(runs, options.model), options.replay)
            write(runs[0].path("experiments.md"), text)
            print(text, end="")
    except suites.Unusable as error:
        fail(str(error), UNAVAILABLE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
