#!/usr/bin/env python3
"""Draws answers of a single model, from which every way of choosing is computed afterwards.

    python3 pool.py calibrate --out DIR --model MODEL
    python3 pool.py draw --out DIR --model MODEL --suites closed --tasks 120 --minutes 11
    python3 pool.py show --out DIR

`calibrate` finds the levels of the closed questions at which the model is right 20 to 80 % of the
time, and writes suites/levels.json. `draw` resumes where it ended. README.md explains the rest.
"""

import argparse
import json
import os
import sys
import time

import suites
from endpoint import Endpoint, Refused, Unreachable
from asking import Draws, Stopped, raise_at_signals
from options import (
    INTERRUPTED, UNAVAILABLE, USAGE, Parser, decimal, fail, names, say, url, whole)
from state import Different, Run, write
from suites import reasoning

# The calibration must not choose levels by the tasks that are measured afterwards.
CALIBRATION_SEED = 1_000_003
LOWEST, HIGHEST = 0.2, 0.8


def parse(arguments):
    parser = Parser(
        description="Draws answers of one model for later choices.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("command", choices=["calibrate", "draw", "show", "rescore"])
    add("--out", required=True, metavar="DIR", help="folder of the run")
    add("--base-url", type=url, default="http://127.0.0.1:9200/v1", help="the recorder or a host")
    add("--model", help="model id; required to draw")
    add("--suites", type=names, default=list(suites.SUITES), metavar="A,B", help="suites to draw")
    add("--tasks", type=whole(1, 10_000), default=60, metavar="N", help="tasks of each suite")
    add("--samples", type=whole(0, 64), default=4, metavar="N",
        help="samples of each task, in addition to the anchor")
    add("--seed", type=whole(0, 2**31 - 1), default=1, metavar="N", help="of tasks and requests")
    add("--sample-temperature", type=decimal(0, 2), default=0.7, metavar="T",
        help="temperature of the samples; that of the anchor is 0")
    add("--minutes", type=decimal(0, 10_000), metavar="N", help="end after this time")
    add("--concurrency", type=whole(1, 64), default=1, metavar="N", help="concurrent requests")
    add("--timeout", type=decimal(0.1, 86_400), default=300, metavar="SECONDS",
        help="time limit of one request")
    add("--each", type=whole(1, 100), default=5, metavar="N", help="calibrate: tasks of each level")
    add("--levels", default=reasoning.LEVELS_FILE, metavar="FILE",
        help="levels of the closed questions; calibrate writes them")
    options = parser.parse_args(arguments)
    if options.command in ("calibrate", "draw") and not options.model:
        parser.error("argument --model: is required to draw")
    wrong = [name for name in options.suites if name not in suites.SUITES]
    if wrong:
        parser.error(f"argument --suites: no suite {', '.join(wrong)}")
    return options


def until(options):
    return None if options.minutes is None else time.monotonic() + options.minutes * 60


def calibrate(options, endpoint):
    """Draws the anchors of some tasks of every level, and writes the levels that are usable."""
    levels = reasoning.all_levels()
    run = Run(options.out, {"seed": CALIBRATION_SEED, "sample_temperature": 0, "levels": levels})
    tasks = reasoning.load(options.each * len(levels), CALIBRATION_SEED, levels)
    left = Draws(endpoint, run, say, options.concurrency).draw(tasks, options.model, 0,
                                                               until(options))
    found = shares(row for row in run.draws.rows if row["model"] == options.model)
    chosen = {level: share for level, share in found.items()
              if LOWEST <= share[0] / share[1] <= HIGHEST}
    print(f"{'level':28}right")
    for level, (right, count) in sorted(found.items()):
        print(f"{level:28}{right} of {count}{'' if level in chosen else '  not used'}")
    if left:
        say(f"{left} tasks are missing; the same command resumes. No levels are written")
        return UNAVAILABLE
    if not chosen:
        say("the model is right 20 to 80 % of the time at no level")
        return UNAVAILABLE
    write(options.levels, json.dumps(
        {"model": options.model,
         "levels": {level: f"{right} of {count}" for level, (right, count) in chosen.items()}},
        indent=1) + "\n")
    print(f"{len(chosen)} levels are in {options.levels}")
    return 0


def shares(rows):
    """Returns (right, count) by label."""
    found = {}
    for row in rows:
        if not row.get("error"):
            right, count = found.get(row["label"], (0, 0))
            found[row["label"]] = (right + (row["score"] >= 0.999), count + 1)
    return found


def load(names, count, settings):
    return [task for suite in names
            for task in suites.load(suite, count, settings["seed"], settings["levels"])]


def draw(options, endpoint):
    settings = {"seed": options.seed, "sample_temperature": options.sample_temperature,
                "levels": reasoning.known_levels(options.levels)}
    run = Run(options.out, settings)
    tasks = load(options.suites, options.tasks, settings)
    left = Draws(endpoint, run, say, options.concurrency).draw(
        tasks, options.model, options.samples, until(options))
    show(run)
    if left:
        say(f"{left} answers are missing; the same command resumes")
    return 0 if any(not row.get("error") for row in run.draws.rows) else UNAVAILABLE


def show(run):
    """Prints what the run has of each suite, model and answer number."""
    groups = {}
    for row in run.draws.rows:
        groups.setdefault((row["suite"], row["model"], row["n"]), {})[row["number"]] = row
    print(f"{'suite':10} {'model':24} {'answer':>7} {'tasks':>6} {'score':>6} {'right':>6} "
          f"{'tokens':>7} {'seconds':>8} {'cut':>4} {'errors':>7}")
    for (suite, model, n), by_number in sorted(groups.items()):
        rows = [row for row in by_number.values() if not row.get("error")]
        count = len(rows) or 1
        print(f"{suite:10} {model:24} {n:7} {len(rows):6} "
              f"{sum(row['score'] for row in rows) / count:6.3f} "
              f"{sum(row['score'] >= 0.999 for row in rows):6} "
              f"{sum(row['tokens'] or 0 for row in rows) / count:7.0f} "
              f"{sum(row['seconds'] for row in rows):8.0f} {sum(row['cut'] for row in rows):4} "
              f"{len(by_number) - len(rows):7}", flush=True)


def rescore(options):
    """Computes all scores again, after a change of a suite's judge."""
    run = Run(options.out)
    rows = run.draws.rows + run.results.rows
    count = max((row["number"] for row in rows), default=0) + 1
    tasks = {(task.suite, task.number): task
             for task in load({row["suite"] for row in rows}, count, run.settings)}
    for journal in (run.draws, run.results):
        changed = 0
        for row in journal.rows:
            task = tasks[row["suite"], row["number"]]
            if not row.get("error"):
                before = row["score"]
                row["score"] = task.judge(row["text"])
                changed += row["score"] != before
                if "vote" in row:
                    row["vote"] = task.vote(row["text"])
        write(journal.path, "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in journal.rows))
        journal.close()
        print(f"{os.path.basename(journal.path)}: {changed} of {len(journal.rows)} scores changed")
    return 0


def main(arguments):
    options = parse(arguments)
    endpoint = Endpoint(options.base_url, os.environ.get("OPENAI_API_KEY", ""), options.timeout)
    try:
        if options.command == "rescore":
            return rescore(options)
        if options.command == "show":
            show(Run(options.out))
            return 0
        try:
            offered = endpoint.models()
        except (Unreachable, Refused) as error:
            fail(f"no server answers at {options.base_url}: {error}", UNAVAILABLE)
        if offered is not None and options.model not in offered:
            fail(f"the server has no model {options.model}; it offers {', '.join(offered)}", USAGE)
        return (calibrate if options.command == "calibrate" else draw)(options, endpoint)
    except suites.Unusable as error:
        fail(str(error), UNAVAILABLE)
    except Different as error:
        fail(f"{options.out} has another run: {error}", USAGE)
    except Stopped as stop:
        if options.command == "draw":
            show(Run(options.out))
        return stop.status


if __name__ == "__main__":
    raise_at_signals()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
