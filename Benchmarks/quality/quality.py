#!/usr/bin/env python3
"""Compares answer quality at equal tokens: one model, samples and a vote, and Tutti's patterns.

    python3 quality.py --out DIR --base-url http://127.0.0.1:8080/v1 --model MODEL

Asks any OpenAI-compatible server, scores the answers, and writes a report. README.md in this folder
explains it. pool.py and curves.py do parts of this alone.
"""

import argparse
import json
import os
import sys
import time
import urllib.request

import curves
import suites
from asking import Draws, Patterns, Stopped, raise_at_signals
from endpoint import Endpoint, Refused, Unreachable
from options import (
    INTERRUPTED, UNAVAILABLE, USAGE, Parser, decimal, fail, members, names, say, url, whole)
from pool import load
from state import Different, Run
from suites import reasoning

PATTERNS = "tutti/ensemble,tutti/debate,tutti/maestro,tutti/auto"


def parse(arguments):
    parser = Parser(
        description="Scores one model, self-consistency at the same tokens, and Tutti's patterns. "
        "OPENAI_API_KEY is sent as the API key, if it is set. The same command resumes a run.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--out", required=True, metavar="DIR", help="folder of the run and of its report")
    add("--base-url", type=url, default="http://127.0.0.1:8080/v1", help="base URL of the API")
    add("--model", help="a real model, which is asked once and for samples; default: the one that "
        "the server offers, or none if the run has answers of a model")
    add("--suites", type=names, default=list(suites.SUITES), metavar="A,B", help="suites")
    add("--tasks", type=whole(1, 10_000), default=20, metavar="N", help="tasks of each suite")
    add("--samples", type=whole(0, 64), default=4, metavar="N", help="samples of each task")
    add("--patterns", type=names, default=names(PATTERNS), metavar="A,B", help="patterns to ask")
    add("--tutti", type=members, default={}, metavar="JSON",
        help='more members of `tutti` for patterns, such as {"members": 3}')
    add("--label", default="", metavar="TEXT", help="added to the names of the patterns' columns")
    add("--retry-errors", action="store_true", help="ask again where a pattern has failed")
    add("--recorder", type=url, metavar="URL", help="recorder.py, to start a column for a pattern")
    add("--seed", type=whole(0, 2**31 - 1), default=1, metavar="N", help="of tasks and requests")
    add("--sample-temperature", type=decimal(0, 2), default=0.7, metavar="T",
        help="temperature of the samples; that of the other requests is 0")
    add("--levels", default=reasoning.LEVELS_FILE, metavar="FILE",
        help="levels of the closed questions")
    add("--minutes", type=decimal(0, 10_000), metavar="N", help="end after this time")
    add("--concurrency", type=whole(1, 64), default=1, metavar="N", help="concurrent requests")
    add("--timeout", type=decimal(0.1, 86_400), default=900, metavar="SECONDS",
        help="time limit of one request")
    add("--replay", metavar="PROGRAM", help="the built ChoiceReplay, for best by agreement")
    options = parser.parse_args(arguments)
    if options.model and options.model.startswith("tutti/"):
        parser.error(f"argument --model: must be a real model, not {options.model}")
    wrong = [name for name in options.suites if name not in suites.SUITES]
    if wrong:
        parser.error(f"argument --suites: no suite {', '.join(wrong)}")
    return options


def choose_model(wanted, listed, has_draws):
    """Returns the model to draw from, or None. Exits if it is ambiguous or not offered."""
    real = [name for name in listed or [] if not name.startswith("tutti/")]
    if wanted:
        if listed is not None and wanted not in listed:
            fail(f"the server has no model {wanted}; it offers {', '.join(real) or 'none'}", USAGE)
        return wanted
    if has_draws:
        return None
    if len(real) == 1:
        return real[0]
    fail(f"--model is required; the server offers {', '.join(real) or 'no list of models'}", USAGE)


def start_column(recorder, name):
    """Makes the recorder count the requests of each kind from 0 again."""
    if recorder:
        ask_recorder(recorder, "/column", {"name": name})


def say_hits(recorder):
    """Shows how many answers of the column were recorded already."""
    if recorder:
        found = ask_recorder(recorder, "/statistics")
        say(f"{found['column']}: {found['hits']} recorded answers, {found['misses']} new ones, "
            f"{found['errors']} failed")


def ask_recorder(recorder, path, body=None):
    request = urllib.request.Request(
        recorder.removesuffix("/").removesuffix("/v1") + path,
        None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.loads(answer.read())
    except (OSError, ValueError) as error:
        fail(f"no recorder answers at {recorder}: {error}", UNAVAILABLE)


def measure(options, run, endpoint, model, listed):
    """Draws and asks what is missing. Raises Stopped."""
    tasks = load(options.suites, options.tasks, run.settings)
    until = None if options.minutes is None else time.monotonic() + options.minutes * 60
    if model:
        start_column(options.recorder, "draws")
        Draws(endpoint, run, say, options.concurrency).draw(tasks, model, options.samples, until)
    asker = Patterns(endpoint, run, say, options.concurrency, options.tutti)
    for pattern in options.patterns:
        # Some servers answer for every model name, so the list is checked first.
        if listed is not None and pattern not in listed:
            say(f"{pattern}: not offered")
            continue
        column = pattern + (f" {options.label}" if options.label else "")
        start_column(options.recorder, column)
        left = asker.measure(column, pattern, tasks, options.retry_errors, until)
        say_hits(options.recorder)
        if left:
            say(f"{column}: {left} tasks are missing; the same command resumes")


def main(arguments):
    options = parse(arguments)
    endpoint = Endpoint(options.base_url, os.environ.get("OPENAI_API_KEY", ""), options.timeout)
    try:
        listed = endpoint.models()
    except Unreachable as error:
        fail(f"no server answers at {options.base_url}: {error}", UNAVAILABLE)
    except Refused as error:
        fail(f"{options.base_url} refuses: {error}", UNAVAILABLE)
    try:
        run = Run(options.out, {
            "seed": options.seed, "sample_temperature": options.sample_temperature,
            "levels": reasoning.known_levels(options.levels)})
        model = choose_model(options.model, listed, bool(run.draws.rows))
        status = 0
        try:
            measure(options, run, endpoint, model, listed)
        except Stopped as stop:
            status = stop.status
        print(curves.write_report([run], model, options.replay, status != 0), end="", flush=True)
        say(f"the report is in {options.out}: {', '.join(curves.FILES)}")
    except suites.Unusable as error:
        fail(str(error), UNAVAILABLE)
    except Different as error:
        fail(f"{options.out} has another run: {error}", USAGE)
    except OSError as error:
        fail(f"cannot write {options.out}: {error.strerror}", USAGE)
    answered = [row for row in run.draws.rows + run.results.rows if not row.get("error")]
    if not status and not answered:
        reasons = [row["error"] for row in run.draws.rows + run.results.rows]
        fail(f"no task was answered: {(reasons or ['nothing was asked'])[0]}", UNAVAILABLE)
    return status


if __name__ == "__main__":
    raise_at_signals()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
