#!/usr/bin/env python3
"""Compares calls of real client libraries, directly to a host and through Tutti.

    compare.py --bin DIR [--clients NAME,...] [--habits REGEX] [--json FILE] [--skip-slow]
    compare.py --bin DIR --real MODEL_ENV  the same with llama.cpp and the model of `make setup`

Starts the scripted hosts of habits.py and a cluster with these hosts. Each client is a process that
runs client_NAME.py with the Python of its own virtual environment (made by environments.sh). Each
call goes directly to the host and then through Tutti. Both results must be equal: text, finish
reason, tool calls, usage, and the error's class, status, type, code and parameter. Tutti's error
message must contain the host's message. A habit may declare an improvement (habit.py). A call that
costs the host two or more extra requests is different.

Prints a table of habits and clients, and every difference. Exit code 1 if any result differs. All
processes listen on 127.0.0.1, and the script ends only processes that it started.
"""

import argparse
import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(HERE + "/../hostile")

from cluster import Cluster, get_json  # noqa: E402
from habit import Habit  # noqa: E402
from habits import HABITS  # noqa: E402
from judging import judge, report  # noqa: E402

CLIENTS = ("openai", "langchain", "llama_index", "instructor", "pydantic_ai", "dspy", "smolagents",
           "openai_agents", "llm", "lm_eval", "guidellm", "aider")
# A client's own time limit is 40 s. Libraries that retry take longer.
CALL_SECONDS = 100


class ScriptedHosts:
    """A process of habits.py: one host per habit, with a model named after the habit."""

    def __init__(self, names):
        self.process = subprocess.Popen(
            [sys.executable, HERE + "/habits.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)
        self.urls = json.loads(self.process.stdout.readline())
        self.habits = {name: HABITS[name] for name in names}

    def asked(self, name):
        base = HABITS[name].base
        return get_json(self.urls[name].removesuffix(base) + "/asked")["asked"]

    def direct(self, name):
        return self.urls[name] + ("" if HABITS[name].base else "/v1")

    def model(self, name):
        return name

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


def llama_cpp(request):
    """llama.cpp with SmolLM2-135M-Instruct."""
    raise NotImplementedError("it answers in its own process")


class LocalModel:
    """llama.cpp with the model of `make setup`, with the interface of the scripted hosts."""

    LAUNCHER = HERE + "/../../Services/CommandLine/EmbeddedModel/embedded_host.py"

    def __init__(self, environment):
        # The server ends when its standard input closes, which happens when this process ends.
        self.process = subprocess.Popen(
            [f"{environment}/bin/python", self.LAUNCHER, "--port", "0"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "TUTTI_LIFELINE_FD": "0"})
        self.ready = json.loads(self.process.stdout.readline() or "{}")
        if not self.ready:
            raise SystemExit(f"clients: no local model in {environment}; run `make setup`")
        habit = Habit(llama_cpp, "real")
        self.urls = {habit.name: self.ready["url"]}
        self.habits = {habit.name: habit}

    def asked(self, name):
        return 0

    def direct(self, name):
        return self.ready["url"] + "/v1"

    def model(self, name):
        return self.ready["model"]

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


class Client:
    """A process of client_NAME.py. It restarts after a call that did not return."""

    def __init__(self, name, python, options):
        self.name, self.python, self.options = name, python, options
        self.start()

    def start(self):
        environment = {k: v for k, v in os.environ.items()
                       if not re.match(r"TUTTI_|OPENAI_|https?_proxy|HTTPS?_PROXY", k)}
        environment |= {"PYTHONPATH": HERE, "PYTHONDONTWRITEBYTECODE": "1", "NO_PROXY": "*"}
        if self.options.real:
            environment["CLIENTS_REAL"] = "1"
        self.process = subprocess.Popen(
            [self.python, f"{HERE}/client_{self.name}.py"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=None if self.options.verbose else subprocess.DEVNULL,
            text=True, env=environment)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, args=(self.process, self.lines), daemon=True).start()
        greeting = self.line(120)
        if greeting is None:
            raise SystemExit(f"clients: client_{self.name}.py did not start with "
                             f"{self.python}; --verbose shows why")
        self.calls = greeting["calls"]

    @staticmethod
    def read(process, lines):
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    def line(self, seconds):
        try:
            text = self.lines.get(timeout=seconds)
        except queue.Empty:
            text = None
        return json.loads(text) if text else None

    def call(self, call, url, model, through):
        task = {"call": call, "url": url, "model": model, "through": through}
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        found = self.line(CALL_SECONDS)
        if found is None:
            self.stop()
            self.start()
            found = {"error": {"class": "the client did not return", "status": None}}
        return found

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


# MARK: - The run

class Comparison:
    def __init__(self, cluster, hosts, options):
        self.cluster, self.hosts, self.options = cluster, hosts, options
        self.habits = list(hosts.habits)
        self.gateway = f"http://127.0.0.1:{cluster.port}/v1"
        self.locks = {name: threading.Lock() for name in self.habits}
        self.rows = []

    def add_hosts(self):
        for name in self.habits:
            body = {"url": self.hosts.urls[name], "id": name}
            if self.hosts.habits[name].is_named:
                body["models"] = [name]
            try:
                self.cluster.admin("POST", "/hosts?wait_ms=3000", body)
            except urllib.error.HTTPError as refusal:
                print(f"clients: {name} was not added: {refusal.read().decode()[:400]}",
                      file=sys.stderr)
            except OSError as refusal:
                print(f"clients: {name} was not added: {refusal}", file=sys.stderr)

    def teach(self, name):
        """Sends ten quick requests, so that deadlines learned from them are short."""
        # Longer than the calls' prompts, because Tutti allows more time for longer prompts.
        messages = [{"role": "user", "content": "Be quick. " * 40}]
        body = {"model": name, "messages": messages}
        for _ in range(10):
            try:
                get_json(self.gateway + "/chat/completions", "POST", body, timeout=30)
            except OSError:
                pass

    def run_all(self, clients):
        """Runs all clients. Returns the reasons of clients that did not finish."""
        waiting = queue.Queue()
        for item in clients.items():
            waiting.put(item)
        failures = []

        def work():
            while True:
                try:
                    name, python = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    self.run(name, python)
                    print(f"clients: {name} is done", file=sys.stderr)
                    self.save()
                except BaseException as failure:  # the other clients continue
                    failures.append(f"{name} did not finish: {failure!r}")

        # A real model gives equal answers only to one client: its rounding depends on the batch.
        jobs = 1 if self.options.real else self.options.jobs
        threads = [threading.Thread(target=work) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return failures

    def save(self):
        """Writes all results so far, so that an interrupted run keeps those of finished clients."""
        if self.options.json:
            with open(self.options.json, "w") as file:
                json.dump(self.rows, file, ensure_ascii=False, indent=1, default=str)

    def run(self, name, python):
        client = Client(name, python, self.options)
        try:
            baselines = {} if self.options.real else {
                call: client.call(call, self.hosts.direct("exact"), "exact", False)
                for call in client.calls}
            # Clients begin with different habits, so that they seldom wait for each other.
            start = list(CLIENTS).index(name) * 7 % len(self.habits)
            for habit in self.habits[start:] + self.habits[:start]:
                with self.locks[habit]:
                    for call in client.calls:
                        self.compare(client, self.hosts.habits[habit], call, baselines.get(call))
        finally:
            client.stop()

    def compare(self, client, habit, call, baseline):
        if habit.calls and call not in habit.calls:
            return
        if not habit.calls and call in ONLY_NAMED:
            return
        name, model = habit.name, self.hosts.model(habit.name)
        counts = [self.hosts.asked(name)]
        direct = client.call(call, self.hosts.direct(name), model, False)
        counts.append(self.hosts.asked(name))
        started = time.monotonic()
        through = client.call(call, self.gateway, model, True)
        seconds = time.monotonic() - started
        counts.append(self.hosts.asked(name))
        extra = counts[2] - counts[1] - (counts[1] - counts[0])
        if call in PATTERNS:
            extra = 0
        verdict, lines = judge(habit, direct, through, baseline, extra)
        self.rows.append({"client": client.name, "habit": name, "kind": habit.kind, "call": call,
                          "verdict": verdict, "differences": lines, "direct": direct,
                          "through": through, "asked": extra, "seconds": round(seconds, 2)})


PATTERNS = ("ensemble", "debate", "maestro", "decompose")
# Calls that only run for habits that list them.
ONLY_NAMED = ("prefill", "prefill_stream", "photo", "no_limit", "dense_prompt", *PATTERNS)


def pythons(options):
    named = dict(one.split("=", 1) for one in options.python)
    root = os.path.expanduser(options.environments)
    found = {}
    for name in options.clients.split(","):
        if name not in CLIENTS:
            raise SystemExit(f"clients: unknown client {name}; known are {', '.join(CLIENTS)}")
        python = named.get(name) or f"{root}/{name.replace('_', '-')}/bin/python"
        if not os.path.exists(python):
            raise SystemExit(f"clients: {python} is missing; run `make setup` or "
                             "Benchmarks/clients/environments.sh")
        found[name] = python
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    parser.add_argument("--bin", required=True, help="folder of tutti and its services")
    parser.add_argument("--clients", default=",".join(CLIENTS))
    parser.add_argument("--habits", default=".*", help="regular expression for whole habit names")
    parser.add_argument("--environments", default=cache + "/tutti/clients")
    parser.add_argument("--python", action="append", default=[], metavar="CLIENT=PATH")
    parser.add_argument("--jobs", type=int, default=2, help="number of clients that run at once")
    parser.add_argument("--skip-slow", action="store_true", help="skip habits that take 10 s")
    parser.add_argument("--real", metavar="MODEL_ENV",
                        help="use llama.cpp instead of the scripted hosts")
    parser.add_argument("--verbose", action="store_true", help="show what the libraries print")
    parser.add_argument("--json", help="file for all results")
    options = parser.parse_args()
    clients = pythons(options)
    names = [name for name, habit in HABITS.items()
             if re.search(rf"^(?:{options.habits})$", name)
             and not (options.skip_slow and habit.is_slow)]
    hosts = LocalModel(options.real) if options.real else ScriptedHosts(names)
    cluster = None
    try:
        cluster = Cluster(options.bin)
        comparison = Comparison(cluster, hosts, options)
        comparison.add_hosts()
        for name, habit in hosts.habits.items():
            if habit.is_slow:
                comparison.teach(name)
        failures = comparison.run_all(clients)
        failures += [f"{name} died" for name in cluster.died()]
    finally:
        if cluster:
            cluster.stop()
        hosts.stop()
    rows = comparison.rows
    print(report(rows, list(clients), hosts.habits))
    for failure in failures:
        print(f"clients: {failure}")
    bad = failures or not rows or any(row["verdict"] == "different" for row in rows)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
