#!/usr/bin/env python3
"""Compares answer quality: one model alone, with samples and a vote, and with patterns.

    python3 Benchmarks/quality/quality.py --base-url http://127.0.0.1:8080/v1 --model MODEL

Sends reasoning-gym's questions to any OpenAI-compatible server and scores the answers with
reasoning-gym's verifiers. README.md in this folder explains the table.
"""

import argparse
import json
import os
import platform
import sys
import urllib.parse
from importlib import metadata

import report
import tasks as task_source
from endpoint import Endpoint, Refused, Unreachable
from measurement import Measurement, Settings

# Exit codes from sysexits.h, as in Tutti's own commands.
USAGE, UNAVAILABLE, INTERRUPTED = 64, 69, 130

PATTERNS = "tutti/ensemble,tutti/debate,tutti/maestro,tutti/auto"


class Parser(argparse.ArgumentParser):
    def error(self, message):
        fail(f"{message} (--help lists the options)", USAGE)


def fail(message, status):
    print(f"quality: {message}", file=sys.stderr)
    sys.exit(status)


def say(message):
    print(f"quality: {message}", file=sys.stderr, flush=True)


def whole(low, high):
    """Returns an option type: an integer from `low` to `high`."""
    def read(text):
        if not text.lstrip("-").isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"must be an integer from {low} to {high}, not {text!r}")
        return int(text)
    return read


def decimal(low, high):
    """Returns an option type: a number from `low` to `high`."""
    def read(text):
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"must be a number from {low} to {high}, not {text!r}")
        return number
    return read


def names(text):
    found = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not found:
        raise argparse.ArgumentTypeError("must have at least one name")
    return found


def url(text):
    try:
        parts = urllib.parse.urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise argparse.ArgumentTypeError(f"must be an http or https URL, not {text!r}")
    return text


def parse(arguments):
    parser = Parser(
        description="Scores one model, self-consistency at the same token budget, and Tutti's "
        "patterns on reasoning-gym tasks. OPENAI_API_KEY is sent as the API key, if it is set.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    add("--base-url", type=url, default="http://127.0.0.1:8080/v1", help="base URL of the API")
    add("--model", help="a real model id; required if the server offers several")
    add("--tasks", type=whole(1, 100_000), default=20, metavar="N", help="number of tasks")
    add("--seed", type=whole(0, 2**31 - 1), default=1, metavar="N",
        help="seed of tasks and requests")
    add("--patterns", type=names, default=names(PATTERNS), metavar="A,B",
        help="patterns to measure")
    add("--datasets", type=names, default=task_source.STANDARD, metavar="A,B",
        help="data sets of reasoning-gym, taken in turn; data sets with answers of several lines "
        "score low, because the prompt asks for one line")
    add("--max-tokens", type=whole(1, 1_000_000), default=512, metavar="N",
        help="maximum tokens of one answer")
    add("--temperature", type=decimal(0, 2), default=0.0, metavar="T",
        help="temperature of `direct`")
    add("--sample-temperature", type=decimal(0, 2), default=0.7, metavar="T",
        help="temperature of the samples for self-consistency")
    add("--samples", type=whole(1, 1_000), default=5, metavar="N",
        help="samples per task if no pattern gives a token budget")
    add("--max-samples", type=whole(1, 1_000), default=16, metavar="N",
        help="maximum samples per task")
    add("--concurrency", type=whole(1, 256), default=1, metavar="N", help="concurrent requests")
    add("--timeout", type=decimal(0.1, 86_400), default=300, metavar="SECONDS",
        help="time limit of one request")
    add("--json", metavar="FILE", help="write all results to FILE, with each answer")
    options = parser.parse_args(arguments)
    if options.model and options.model.startswith("tutti/"):
        parser.error(f"argument --model: must be a real model, not {options.model}")
    folder = os.path.dirname(os.path.abspath(options.json or "."))
    if options.json and (os.path.isdir(options.json) or not os.access(folder, os.W_OK)):
        parser.error(f"argument --json: cannot write {options.json}")
    return options


def choose_model(wanted, listed):
    """Returns the model to ask. Exits if it is ambiguous or not offered."""
    real = [name for name in listed or [] if not name.startswith("tutti/")]
    if wanted:
        if listed is not None and wanted not in listed:
            fail(f"the server has no model {wanted}; it offers {', '.join(real) or 'none'}", USAGE)
        return wanted
    if len(real) == 1:
        return real[0]
    fail(f"--model is required; the server offers {', '.join(real) or 'no list of models'}", USAGE)


def load_tasks(options):
    try:
        return task_source.load(options.datasets, options.tasks, options.seed)
    except task_source.UnknownDataset as error:
        fail(f"reasoning-gym has no data set {error}", USAGE)
    except ImportError as error:
        fail(f"reasoning-gym cannot be loaded ({error}); install requirements.txt of this folder",
             UNAVAILABLE)


def write(path, content):
    """Writes the file atomically."""
    partial = f"{path}.{os.getpid()}.partial"
    try:
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, ensure_ascii=False)
            file.write("\n")
        os.replace(partial, path)
    except OSError as error:
        say(f"cannot write {path}: {error.strerror}")


def main(arguments):
    options = parse(arguments)
    endpoint = Endpoint(options.base_url, os.environ.get("OPENAI_API_KEY", ""), options.timeout)
    try:
        listed = endpoint.models()
    except Unreachable as error:
        fail(f"no server answers at {options.base_url}: {error}", UNAVAILABLE)
    except Refused as error:
        fail(f"{options.base_url} refuses: {error}", UNAVAILABLE)
    settings = Settings(
        choose_model(options.model, listed), options.seed, options.max_tokens, options.temperature,
        options.sample_temperature, options.samples, options.max_samples, options.concurrency)
    tasks = load_tasks(options)
    measurement = Measurement(endpoint, tasks, settings, listed, say)
    interrupted = False
    try:
        measurement.run(options.patterns)
    except KeyboardInterrupt:
        interrupted = True
    columns = measurement.columns
    versions = {"python": platform.python_version(),
                "reasoning-gym": metadata.version("reasoning-gym")}
    print(f"{settings.model} at {options.base_url}, {len(tasks)} tasks from "
          f"{min(len(options.datasets), len(tasks))} data sets, seed {options.seed}, "
          f"reasoning-gym {versions['reasoning-gym']}\n")
    print(report.text(columns, len(tasks), options.seed, interrupted), flush=True)
    if options.json:
        write(options.json, report.record(
            columns, settings, options.base_url, options.datasets, versions, options.seed,
            interrupted))
    if interrupted:
        return INTERRUPTED
    if not any(column.answered for column in columns):
        reasons = [error for c in columns for r in c.results for error in r.errors]
        fail(f"no task was answered: {(reasons + [c.missing for c in columns])[0]}", UNAVAILABLE)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
