#!/usr/bin/env python3
"""The same calls of real client libraries directly at a host and through Tutti, compared.

    compare.py --bin DIR [--clients NAME,...] [--habits REGEX] [--json FILE] [--skip-slow]
    compare.py --bin DIR --real MODEL_ENV  the same over llama.cpp with the model of `make setup`

Starts the scripted hosts of habits.py and a cluster that knows them. Each client is a process that
runs client_NAME.py with the Python of its own virtual environment (environments.sh makes them).
Each of its calls is made directly at the host and then through Tutti, and what the library returned
has to be equal: text, finish reason, tool calls, usage, class and status of the error, and the
error's type, code and parameter; the host's words have to be in Tutti's. A habit may declare an
improvement (habits.py). A call that asks the host more than once more than directly is different.

Prints a table of habits and clients, and every difference. Exit code 1 if anything is different.
Everything listens on 127.0.0.1, and only processes that this script started are ended.
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
from habits import HABITS  # noqa: E402

CLIENTS = ("openai", "langchain", "llama_index", "instructor", "pydantic_ai", "dspy", "smolagents",
           "openai_agents", "llm", "lm_eval", "guidellm", "aider")
# A client's own time limit is 40 s; libraries that retry take longer.
CALL_SECONDS = 100
# Members of a result that are not compared: words are, by what they contain.
WORDS = ("message", "host_message")


class ScriptedHosts:
    """habits.py as a process: one host per habit, with a model of the habit's name."""

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


class LocalModel:
    """llama.cpp with the model of `make setup`, as if it were a habit."""

    NAME = "llama.cpp"
    LAUNCHER = HERE + "/../../Services/CommandLine/EmbeddedModel/embedded_host.py"

    class Habit:
        name, kind, what = "llama.cpp", "real", "llama.cpp with SmolLM2-135M-Instruct."
        improves, calls, is_slow, is_named = None, None, False, False

    def __init__(self, environment):
        # Its standard input is a pipe that ends with this process, and it ends with it.
        self.process = subprocess.Popen(
            [f"{environment}/bin/python", self.LAUNCHER, "--port", "0"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "TUTTI_LIFELINE_FD": "0"})
        self.ready = json.loads(self.process.stdout.readline() or "{}")
        if not self.ready:
            raise SystemExit(f"clients: no local model in {environment}; run `make setup`")
        self.urls = {self.NAME: self.ready["url"]}
        self.habits = {self.NAME: self.Habit}

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
    """client_NAME.py as a process that is started again after a call that did not return."""

    def __init__(self, name, python, is_real):
        self.name, self.python, self.is_real = name, python, is_real
        self.start()

    def start(self):
        environment = {k: v for k, v in os.environ.items()
                       if not re.match(r"TUTTI_|OPENAI_|https?_proxy|HTTPS?_PROXY", k)}
        environment |= {"PYTHONPATH": HERE, "PYTHONDONTWRITEBYTECODE": "1", "NO_PROXY": "*"}
        if self.is_real:
            environment["CLIENTS_REAL"] = "1"
        self.process = subprocess.Popen(
            [self.python, f"{HERE}/client_{self.name}.py"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if not os.environ.get("CLIENT_ERRORS")
            else None, text=True, env=environment)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, args=(self.process, self.lines), daemon=True).start()
        greeting = self.line(120)
        if greeting is None:
            raise SystemExit(f"clients: client_{self.name}.py did not start with {self.python}")
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


# MARK: - Equal, improved, different

def differences(direct, through, path=""):
    """Lines that say which members differ."""
    if isinstance(direct, dict) and isinstance(through, dict):
        found = []
        for name in dict.fromkeys([*direct, *through]):
            if name in WORDS or (path == "error" and may_differ(name, direct, through)):
                continue
            found += differences(direct.get(name), through.get(name), f"{path}.{name}".strip("."))
        if "host_message" in direct:
            words = through.get("host_message") or through.get("message") or ""
            if direct["host_message"] not in words:
                found.append(f"{path}.message: {shown(direct['host_message'])} is not in "
                             f"{shown(words)}")
        return found
    return [] if direct == through else [f"{path}: {shown(direct)} → {shown(through)}"]


def may_differ(name, direct, through):
    """Declared once for all habits: Tutti may name a type, code or parameter and a time to wait
    where the host named none, and answers with its own status above 500 for a host's."""
    if name in ("type", "code", "param", "retry_after", "retry_after_ms"):
        return direct.get(name) is None
    statuses = direct.get("status") or 0, through.get("status") or 0
    return name == "status" and min(statuses) >= 500


def shown(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 240 else f"{text[:140]} … {text[-80:]} ({len(text)})"


def without(found, *names):
    return {name: value for name, value in found.items() if name not in names}


def repaired(found):
    """With every sign of a byte that was no UTF-8, and the letter it was part of, made the same."""
    return json.loads(re.sub("[\ufffd🌈]+", "?", json.dumps(found, ensure_ascii=False)))


def in_short(found):
    """One line: the error, or the answer."""
    if "error" not in found:
        return f"answer {shown(found)}"
    problem = found["error"]
    facts = [str(problem[name]) for name in ("class", "status", "type", "code", "param")
             if name in problem]
    words = problem.get("host_message") or problem.get("message") or ""
    return f"error {' '.join(facts)}: {shown(words)}"


def judge(habit, direct, through, baseline, extra_asked):
    """("equal" | "improved" | "different", lines)."""
    if ("error" in direct) != ("error" in through):
        lines = [f"{in_short(direct)}", f"→ {in_short(through)}"]
    else:
        lines = differences(direct, through)
        if lines and "error" in through:
            lines.append(f"Tutti's words: {shown(in_short(through))}")
    verdict = "different" if lines else "equal"
    if lines and habit.improves == "answer" and "error" not in through:
        # Usage is not compared: a host that sends none in a stream cannot be improved there.
        wanted, got = (repaired(without(one, "model", "usage")) for one in (baseline, through))
        if wanted == got:
            verdict = "improved"
    if lines and habit.improves == "error" and "error" in through and not (
            "error" in direct and direct["error"].get("status")):
        verdict = "improved"
    if extra_asked > 1:
        lines.append(f"asked the host {extra_asked} times more than directly")
        verdict = "different"
    return verdict, lines


# MARK: - The run

class Comparison:
    def __init__(self, cluster, hosts, is_real):
        self.cluster, self.hosts, self.is_real = cluster, hosts, is_real
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
        """Ten quick answers, after which a patience that is learned from them is short."""
        body = {"model": name, "messages": [{"role": "user", "content": "Be quick."}]}
        for _ in range(10):
            try:
                get_json(self.gateway + "/chat/completions", "POST", body, timeout=30)
            except OSError:
                pass

    def run_all(self, clients, jobs):
        """Runs so many clients at once. Returns what kept a client from running to its end."""
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
                except BaseException as failure:  # the other clients go on
                    failures.append(f"{name} did not end: {failure!r}")

        threads = [threading.Thread(target=work) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return failures

    def run(self, name, python):
        client = Client(name, python, self.is_real)
        try:
            baselines = {} if self.is_real else {
                call: client.call(call, self.hosts.direct("exact"), "exact", False)
                for call in client.calls}
            # Habits are begun at different places, so that clients seldom wait for each other.
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
# Calls that only the habits make that name them.
ONLY_NAMED = ("prefill", "prefill_stream", *PATTERNS)


def table(rows, clients, habits):
    signs = {"equal": "=", "improved": "+", "different": "≠"}
    width = max(len(name) for name in habits) + 6
    lines = [" " * width + " ".join(f"{name[:7]:>7}" for name in clients)]
    for habit in habits:
        cells = []
        for client in clients:
            found = [r for r in rows if r["habit"] == habit and r["client"] == client]
            bad = sum(r["verdict"] == "different" for r in found)
            worst = next((v for v in ("different", "improved", "equal")
                          if any(r["verdict"] == v for r in found)), None)
            cell = f"≠ {bad}/{len(found)}" if bad else signs.get(worst, "·")
            cells.append(f"{cell:>7}")
        lines.append(f"{habits[habit].kind:4} {habit}".ljust(width) + " ".join(cells))
    return "\n".join(lines)


def report(rows, clients, habits):
    lines = [table(rows, clients, habits), ""]
    for habit in habits:
        bad = [r for r in rows if r["habit"] == habit and r["verdict"] == "different"]
        if not bad:
            continue
        lines.append(f"{habits[habit].kind} {habit}: {habits[habit].what}")
        # Calls that differ in the same way stand together.
        ways = {}
        for row in bad:
            ways.setdefault("\n".join(row["differences"]), []).append(row)
        for way, alike in ways.items():
            calls = {}
            for row in alike:
                calls.setdefault(row["client"], []).append(row["call"])
            lines.append("  " + "; ".join(f"{client}: {', '.join(names)}"
                                          for client, names in calls.items()))
            lines += [f"      {line}" for line in way.split("\n")]
    counts = {v: sum(r["verdict"] == v for r in rows) for v in ("equal", "improved", "different")}
    lines.append(f"{len(rows)} calls: {counts['equal']} equal, {counts['improved']} improved as "
                 f"declared, {counts['different']} different")
    return "\n".join(lines)


def pythons(options):
    named = dict(one.split("=", 1) for one in options.python)
    root = os.path.expanduser(options.environments)
    found = {}
    for name in options.clients.split(","):
        if name not in CLIENTS:
            raise SystemExit(f"clients: there is no client {name}; there are {', '.join(CLIENTS)}")
        python = named.get(name) or f"{root}/{name.replace('_', '-')}/bin/python"
        if not os.path.exists(python):
            raise SystemExit(f"clients: {python} is missing; run Benchmarks/clients/environments.sh")
        found[name] = python
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    parser.add_argument("--bin", required=True, help="where tutti and its services are")
    parser.add_argument("--clients", default=",".join(CLIENTS))
    parser.add_argument("--habits", default=".*", help="regular expression of whole names")
    parser.add_argument("--environments", default=cache + "/tutti/clients")
    parser.add_argument("--python", action="append", default=[], metavar="CLIENT=PATH")
    parser.add_argument("--jobs", type=int, default=2, help="clients that run at once")
    parser.add_argument("--skip-slow", action="store_true", help="skip habits that take 10 s")
    parser.add_argument("--real", metavar="MODEL_ENV", help="compare over llama.cpp instead")
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
        comparison = Comparison(cluster, hosts, bool(options.real))
        comparison.add_hosts()
        for name, habit in hosts.habits.items():
            if habit.is_slow:
                comparison.teach(name)
        failures = comparison.run_all(clients, 1 if options.real else options.jobs)
        failures += [f"{name} died" for name in cluster.died()]
    finally:
        if cluster:
            cluster.stop()
        hosts.stop()
    rows = comparison.rows
    print(report(rows, list(clients), hosts.habits))
    for failure in failures:
        print(f"clients: {failure}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, ensure_ascii=False, indent=1, default=str)
    bad = failures or not rows or any(row["verdict"] == "different" for row in rows)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
