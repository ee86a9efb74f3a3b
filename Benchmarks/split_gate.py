#!/usr/bin/env python3
"""Compares the split gate's predictions with measured times.

Before any model is asked, the planner decides if a query is split over hosts, and gives the reason:
"split: 4 questions over 2 hosts, about 4.1 s instead of 9.8 s". This benchmark requests that
decision, then answers the same query both ways, one after the other, and compares.

    python3 Benchmarks/split_gate.py --bin .build/debug            # simulated hosts: one, then four
    python3 Benchmarks/split_gate.py --bin .build/debug --real     # the two local models
"""

import argparse
import collections
import concurrent.futures
import json
import math
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass, field

from ports import free_ports

HELP = """\
How it is measured
  1. A probe cluster of four unmeasured hosts plans every chosen prompt. Its split plans give the
     parts and the planner's estimate of their answers' lengths. No host is asked.
  2. Simulated hosts answer each prompt with the estimated number of tokens, times a random factor
     (--spread). A direct answer is as long as its parts together.
  3. Each scenario is a separate cluster. Its hosts are warmed up until all of them are measured.
  4. Each prompt is answered both ways with the same max_tokens. The gate's way goes through
     tutti/decompose, so that the gateway can learn from it. The other way goes through tutti/fast:
     directly, or this script sends the parts that the probe found as concurrent requests, which
     lacks the planning and the agents (some 50 ms). A prompt without an estimate is answered by
     tutti/fast.

How to read it
  right in hindsight   a split that was faster, or a direct answer if a split would have saved at
                       most 0.5 s plus a tenth (the saving that the gate itself requires)
  median error         |predicted - actual| / actual; "predicted/actual" is the median ratio:
                       below 1 means that the planner was too optimistic
  by the facts alone   predictions without the correction learned from earlier ones
  the gateway's view   its own verdicts, without the other way: tutti_gateway_estimates_total
  auto                 each prompt answered the way that the gate decided
  left to a model      tutti/decompose would ask a model for the parts; tutti/auto answers these
                       directly, and so does "auto" here. Simulated hosts cannot propose parts, so
                       only --real measures tutti/decompose for these prompts

Limits of the numbers: simulated hosts do not slow down when they write several answers at a time.
A large GPU hardly does either, but a laptop does: use --real for that. Benchmarks/quality measures
quality; this benchmark does not.
"""

DIRECT_MODEL = "tutti/fast"
SPLIT_MODEL = "tutti/decompose"
# So large that no answer reaches it. The limits of the parts then show their portions.
PROBE_MAX_TOKENS = 100_000
# Tokens of an answer without an estimate, and of an answer to a prompt labelled "short".
OTHER_TOKENS, SHORT_TOKENS = 150, 20
REQUEST_TIMEOUT = 300
# Members of a task in the trace that are kept.
MEMBERS = ("id", "host", "first_token_ms", "total_ms", "tokens")

# Outcomes of a decision, with their titles in the tables.
TITLES = {
    "split": "split",
    "compared": "direct: not worth it",
    "model": "left to a model",
    "no split": "direct: not looked at",
}

# Decisions in an estimate, with their outcomes here.
OUTCOMES = {"split": "split", "proposal": "model", "direct": "compared"}
HOSTS = re.compile(r"split: .+ over (\d+) hosts?, ")
ESTIMATES = re.compile(r"^tutti_gateway_estimates_total\{([^}]*)\} (\S+)", re.MULTILINE)
CORRECTION = re.compile(r"^tutti_gateway_estimate_correction_ratio\{([^}]*)\} (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class MadeUpHost:
    """A simulated host: tokens per second, milliseconds until the first token, and slots.

    `slots` is set in the registry. None means that the registry does not know it and assumes four.
    """

    rate: float
    first_token_ms: float
    slots: int | None = None

    @classmethod
    def parse(cls, text):
        numbers = text.split(":")
        if not 2 <= len(numbers) <= 3:
            raise argparse.ArgumentTypeError(f"{text!r} is not RATE:FIRST or RATE:FIRST:SLOTS")
        try:
            slots = int(numbers[2]) if len(numbers) == 3 else None
            return cls(float(numbers[0]), float(numbers[1]), slots)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not made of numbers") from None


ONE_HOST = [MadeUpHost(150, 200)]
FOUR_HOSTS = [
    MadeUpHost(150, 200), MadeUpHost(100, 200), MadeUpHost(60, 300), MadeUpHost(30, 500),
]  # fmt: skip


@dataclass
class Part:
    """One task of a split: its instruction, its portion of max_tokens, the parts that it reads."""

    instruction: str
    portion: float
    limit: int | None
    needs: list
    tokens: int = 0


@dataclass
class Prompt:
    """A labelled prompt, the split that the probe found for it, and the lengths of its answers."""

    number: int
    text: str
    worth_splitting: bool
    kind: str
    parts: list = field(default_factory=list)
    joining: str = ""
    believed_tokens: int = 0
    direct_tokens: int = 0


@dataclass
class Decision:
    """The gate's decision.

    `outcome`: split, compared (a split was found but is not worth it), model (a model would name
    the parts), or no split (the prompt has no parts, or finding them would take too long).
    """

    outcome: str
    reason: str
    predicted_direct: float | None = None
    predicted_split: float | None = None
    facts_direct: float | None = None
    facts_split: float | None = None
    hosts: int | None = None
    auto: str = ""


@dataclass
class Answered:
    """The answer of one way.

    `tokens`: tokens of the answer. `wasted`: tokens of hosts that lost a race. `tasks`: tasks of
    the trace that a host worked on. `told`: the trace's reason and estimate.
    """

    seconds: float
    tokens: int
    wasted: int
    cut: bool
    tasks: list
    told: dict = field(default_factory=dict)


@dataclass
class Measured:
    """One prompt in one scenario. `split` is None if there is no split to compare with."""

    prompt: Prompt
    decision: Decision
    direct: Answered
    split: Answered | None
    forced: bool

    @property
    def chosen(self):
        return self.split if self.decision.outcome == "split" else self.direct

    @property
    def is_right(self):
        """Whether the gate chose the better way. None means that there was no choice."""
        if self.split is None:
            return None
        if self.decision.outcome == "split":
            return self.split.seconds < self.direct.seconds
        return self.split.seconds >= self.direct.seconds - margin(self.direct.seconds)


def margin(direct_seconds):
    return 0.5 + direct_seconds / 10


class Failed(Exception):
    """The measurement failed: a process does not start, or a request is refused."""


# MARK: - Processes


class Cluster:
    """`tutti up` with its hosts, in a temporary directory.

    `hosts`: simulated hosts. None means the local models of `tutti up`.
    """

    def __init__(self, binaries, hosts, corpus=None):
        self.binaries, self.made_up, self.corpus = pathlib.Path(binaries), hosts, corpus
        self.processes = []

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="split-gate-")
        self.data = pathlib.Path(self.directory.name, "data")
        try:
            urls = [self._start_host(host, n) for n, host in enumerate(self.made_up or [])]
            self._start_cluster(urls)
            for url, host in zip(urls, self.made_up or []):
                if host.slots is not None:
                    self._tell_slots(url, host.slots)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        # The cluster, which is last in the list, stops first: its hosts must outlive it.
        for process in reversed(self.processes):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.directory.cleanup()

    def _start_host(self, host, number):
        command = [
            self.binaries / "tutti-faulty-host", "--model", "made-up",
            "--first-token-ms", f"{host.first_token_ms:g}",
            "--inter-token-ms", f"{1000 / host.rate:.3f}", "--seed", str(number + 1),
        ]  # fmt: skip
        if self.corpus is not None:
            file = pathlib.Path(self.directory.name, "corpus.json")
            file.write_text(json.dumps(self.corpus))
            command += ["--corpus", file]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        url = process.stdout.readline().decode().strip()
        if not url:
            raise Failed(f"{command[0]} did not start")
        return url

    def _start_cluster(self, urls):
        port = free_ports(3)
        log = pathlib.Path(self.directory.name, "up.log")
        command = [self.binaries / "tutti", "up", "--port", str(port), "--data-dir", self.data]
        for url in urls:
            command += ["--host", url]
        with log.open("w") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        self.processes.append(process)
        for _ in range(600):
            if process.poll() is not None:
                raise Failed(f"tutti up ended:\n{log.read_text()}")
            if (self.data / "cluster.json").exists():
                break
            time.sleep(0.2)
        else:
            raise Failed(f"tutti up is not ready after 120 s:\n{log.read_text()}")
        addresses = json.loads((self.data / "cluster.json").read_text())
        self.gateway, self.registry = addresses["gateway"], addresses["registry"]
        self.admin_token = pathlib.Path(addresses["admin_token_file"]).read_text().strip()

    # MARK: Requests

    def request(self, url, body=None, method=None, admin=False):
        headers = {"Content-Type": "application/json"}
        if admin:
            headers["Authorization"] = f"Bearer {self.admin_token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=REQUEST_TIMEOUT) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise Failed(f"HTTP {error.code} from {url}: {error.read()[:500].decode()}") from None
        except (OSError, ValueError) as error:
            raise Failed(f"no answer from {url}: {error}") from None

    def _tell_slots(self, url, slots):
        for host in self.hosts():
            if host["url"].rstrip("/") == url.rstrip("/"):
                self.request(f"{self.registry}/admin/v1/hosts/{host['id']}", {"slots": slots},
                             method="PATCH", admin=True)  # fmt: skip

    def hosts(self):
        return self.request(f"{self.registry}/admin/v1/hosts", admin=True)["data"]

    def plan(self, model, text, max_tokens):
        return self.request(f"{self.gateway}/v1/plans", {
            "model": model, "max_tokens": max_tokens,
            "messages": [{"role": "user", "content": text}],
        })  # fmt: skip

    def ask(self, model, text, max_tokens):
        """Returns an answer and its text."""
        body = {
            "model": model, "max_tokens": max_tokens, "tutti": {"trace": True},
            "messages": [{"role": "user", "content": text}],
        }  # fmt: skip
        began = time.monotonic()
        response = self.request(f"{self.gateway}/v1/chat/completions", body)
        seconds = time.monotonic() - began
        choice, trace = response["choices"][0], response["tutti"]
        tokens = sum(task["tokens"] for task in trace["tasks"])
        written = sum(attempt["tokens"] for attempt in trace.get("attempts", []))
        answered = Answered(
            seconds, tokens, max(0, written - tokens), choice["finish_reason"] == "length",
            [{name: task[name] for name in MEMBERS} for task in trace["tasks"] if task["host"]],
            {name: trace.get(name) for name in ("reason", "estimate")},
        )  # fmt: skip
        return answered, choice["message"].get("content") or ""

    def estimates(self):
        """Returns the gateway's metrics about estimates, in one line."""
        url = f"{self.gateway}/metrics"
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(url, timeout=REQUEST_TIMEOUT) as response:
                text = response.read().decode()
        except OSError as error:
            raise Failed(f"no answer from {url}: {error}") from None
        told = sorted(ESTIMATES.findall(text)) + sorted(CORRECTION.findall(text))
        return ", ".join(
            " ".join(re.findall(r'"([^"]*)"', labels)) + f" {value}" for labels, value in told
        )

    def is_measured(self):
        return all("tokens_per_second" in (host.get("load") or {}) for host in self.hosts())


def warm_up(cluster, is_real, say):
    """Sends questions until every host has a first-token time and a rate, and prints them.

    Simulated hosts get enough concurrent questions that the slowest gets some, too. Real hosts get
    few, because more would measure the waiting time in their queues.
    """
    count = (1 if is_real else 4) * len(cluster.hosts())
    question = "Tell me at some length how bread is made."
    for round_number in range(1, 11):
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda _: cluster.ask(DIRECT_MODEL, question, 100), range(count)))
        time.sleep(2.5)  # loads are published every second or so
        if round_number > 1 and cluster.is_measured():
            break
    say(f"  after {round_number} rounds of {count} questions: {describe_hosts(cluster)}")


def describe_hosts(cluster):
    def line(host):
        load = host.get("load") or {}
        rate, first = load.get("tokens_per_second"), load.get("first_token_p50_ms")
        told = "slots unknown" if host["slots"] is None else f"{host['slots']} slots"
        return (f"{host['id']} {'?' if rate is None else format(rate, '.0f')} tokens/s, "
                f"first after {'?' if first is None else first} ms, {told}")  # fmt: skip

    return "; ".join(line(host) for host in cluster.hosts())


# MARK: - Prompts


def read_prompts(file):
    return [
        Prompt(n, entry["prompt"], entry["split"], entry["kind"])
        for n, entry in enumerate(json.loads(pathlib.Path(file).read_text()))
    ]


def choose_prompts(prompts, count, seed):
    """Returns a random sample in random order, half of it labelled as worth splitting."""
    rng = random.Random(seed)
    chosen = []
    for wanted in (True, False):
        those = [prompt for prompt in prompts if prompt.worth_splitting is wanted]
        size = count // 2 if wanted else count - count // 2
        chosen += rng.sample(those, min(size, len(those)))
    rng.shuffle(chosen)
    return chosen


def probe(binaries, prompts, say):
    """Finds the splits. No host is asked, so the hosts' answers do not matter."""
    found = 0
    with Cluster(binaries, [MadeUpHost(100, 0)] * 4) as cluster:
        for prompt in prompts:
            answer = cluster.plan(SPLIT_MODEL, prompt.text, PROBE_MAX_TOKENS)
            if decision_of(answer).outcome == "split":
                read_split(prompt, answer["plan"])
                found += 1
    say(f"probe: {found} of {len(prompts)} prompts have a split that four hosts would make")


def read_split(prompt, plan):
    tasks = {task["id"]: task for task in plan["tasks"]}
    places = {name: place for place, name in enumerate(n for n in tasks if n != plan["sink"])}
    sink = tasks[plan["sink"]]
    if sink["merge"] != "concatenate":
        prompt.joining = sink.get("instruction", "")
    for name in places:
        task = tasks[name]
        limit = task.get("max_tokens")
        prompt.parts.append(Part(
            task["instruction"], (limit or 0) / PROBE_MAX_TOKENS,
            limit if prompt.joining else None,
            [places[edge["from"]] for edge in task["inputs"]],
        ))  # fmt: skip
    prompt.believed_tokens = max(8, plan["estimate"]["direct"]["tokens"])


def set_lengths(prompts, spread, seed):
    """Sets the lengths of the answers: the planner's estimate, times a random factor."""
    for prompt in prompts:
        rng = random.Random(f"{seed}/{prompt.number}")

        def about(tokens, rng=rng):
            return max(4, round(tokens * math.exp(rng.gauss(0, spread))))

        for part in prompt.parts:
            believed = part.limit / 2 if part.limit else part.portion * prompt.believed_tokens
            part.tokens = about(believed)
        if prompt.parts and not prompt.joining:
            prompt.direct_tokens = sum(part.tokens for part in prompt.parts)
        elif prompt.parts:
            prompt.direct_tokens = about(prompt.believed_tokens)
        else:
            prompt.direct_tokens = about(SHORT_TOKENS if prompt.kind == "short" else OTHER_TOKENS)


def corpus_of(prompts):
    """Returns the hosts' answers by marker.

    A host chooses the longest marker in a message, so a whole prompt wins over its parts.
    """
    corpus = {"made-up": words(120)}
    for prompt in prompts:
        corpus[prompt.text] = words(prompt.direct_tokens)
        if prompt.joining:
            corpus[prompt.joining] = words(prompt.direct_tokens)
        for part in prompt.parts:
            corpus[part.instruction] = words(part.tokens)
    return corpus


def words(count):
    rng = random.Random(count)
    stock = "stone river light window copper garden letter winter harbour paper signal".split()
    return " ".join(f"{rng.choice(stock)}{n}" for n in range(count))


# MARK: - Measuring a prompt


def decision_of(answer):
    """Returns the gate's decision from an answer of POST /v1/plans, or from a trace."""
    plan = answer.get("plan", answer)
    if plan is None:
        return Decision("no split", f"direct: {answer['reason']}")
    reason, estimate = plan["reason"], plan.get("estimate")
    if estimate is None:
        return Decision("no split", reason)
    hosts = HOSTS.match(reason)
    return Decision(
        OUTCOMES[estimate["decision"]], reason,
        *(estimate[way][of] / 1000 for of in ("corrected_ms", "predicted_ms")
          for way in ("direct", "split")),
        int(hosts[1]) if hosts else None,
    )  # fmt: skip


def measure(cluster, prompt, max_tokens, is_real):
    decision = decision_of(cluster.plan(SPLIT_MODEL, prompt.text, max_tokens))
    auto = cluster.plan("tutti/auto", prompt.text, max_tokens)
    auto_reason = auto["plan"]["reason"] if auto["plan"] else "direct: " + auto["reason"]
    if decision.outcome in ("split", "compared") or (decision.outcome == "model" and is_real):
        measured = measure_decided(cluster, prompt, decision, max_tokens)
    else:
        direct = cluster.ask(DIRECT_MODEL, prompt.text, max_tokens)[0]
        split = carry_out(cluster, prompt, max_tokens) if prompt.parts else None
        measured = Measured(prompt, decision, direct, split, split is not None)
    measured.decision.auto = auto_reason
    return measured


def measure_decided(cluster, prompt, decision, max_tokens):
    """Measures the gate's way through the gateway, which learns from it, and the other way."""

    def other(decision):
        if decision.outcome != "compared":
            return cluster.ask(DIRECT_MODEL, prompt.text, max_tokens)[0]
        return carry_out(cluster, prompt, max_tokens) if prompt.parts else None

    # The order alternates, so that neither way always profits from the other's cache.
    first = other(decision) if prompt.number % 2 else None
    chosen, _ = cluster.ask(SPLIT_MODEL, prompt.text, max_tokens)
    taken = decision_of(chosen.told)
    if (taken.outcome == "compared") != (decision.outcome == "compared"):
        first = None  # the gate has learned and decided otherwise
    second = first or other(taken)
    if taken.outcome == "compared":
        return Measured(prompt, taken, chosen, second, second is not None)
    return Measured(prompt, taken, second, chosen, False)


def carry_out(cluster, prompt, max_tokens):
    """Sends the parts at once, dependent parts after their inputs, then the joining task."""
    futures = []
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(prompt.parts)) as pool:

        def work(part):
            notes = [futures[need].result()[1] for need in part.needs]
            text = "\n\n".join([part.instruction, *notes])
            return cluster.ask(DIRECT_MODEL, text, part_limit(part, max_tokens))

        for part in prompt.parts:
            # A part only needs earlier parts, so no thread waits for a part that has not begun.
            futures.append(pool.submit(work, part))
        done = [future.result() for future in futures]
    if prompt.joining:
        text = "\n\n".join([prompt.text, *(text for _, text in done), prompt.joining])
        done.append(cluster.ask(DIRECT_MODEL, text, max_tokens))
    seconds = time.monotonic() - began
    answers = [answered for answered, _ in done]
    return Answered(
        seconds, sum(a.tokens for a in answers), sum(a.wasted for a in answers),
        any(a.cut for a in answers), [task for a in answers for task in a.tasks],
    )  # fmt: skip


def part_limit(part, max_tokens):
    return part.limit or max(1, int(max_tokens * part.portion))


def run_scenario(name, cluster, prompts, arguments, say):
    """Measures until all prompts are done or the time is over."""
    say(f"{name}:")
    warm_up(cluster, arguments.real, say)
    results, ends = [], time.monotonic() + 60 * arguments.minutes
    for place, prompt in enumerate(prompts):
        if time.monotonic() > ends:
            say(f"  the {arguments.minutes:g} minutes are over")
            break
        try:
            measured = measure(cluster, prompt, arguments.max_tokens, arguments.real)
        except Failed as failure:
            say(f"  {place + 1}/{len(prompts)} prompt {prompt.number}: FAILED: {failure}")
            continue
        results.append(measured)
        split = f", split {measured.split.seconds:.1f} s" if measured.split else ""
        forced = " (by this script)" if measured.forced else ""
        say(f"  {place + 1}/{len(prompts)} prompt {prompt.number} {prompt.kind}: direct "
            f"{measured.direct.seconds:.1f} s{split}{forced}; {measured.decision.reason}")  # fmt: skip
    say(f"  at the end: {describe_hosts(cluster)}")
    return results, cluster.estimates()


# MARK: - Tables


def median(values):
    values = list(values)
    return statistics.median(values) if values else None


def number(value, digits=1, unit=""):
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def table(rows):
    """Prints rows. The first row is the heading; the first column is text, the others numbers."""
    widths = [max(len(str(row[n])) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        cells = [str(cell).rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  " + "  ".join([str(row[0]).ljust(widths[0]), *cells]))


def report(name, results, is_real):
    print(f"\n{name}: {len(results)} prompts")
    if not results:
        return
    print_decisions(results)
    print_predictions(results, is_real)
    print_strategies(results)
    print_mistakes(results)


def print_decisions(results):
    rows = [["decision", "prompts", "labelled split", "labelled direct", "right", "wrong"]]
    for outcome, title in TITLES.items():
        those = [r for r in results if r.decision.outcome == outcome]
        labelled = sum(r.prompt.worth_splitting for r in those)
        verdicts = [r.is_right for r in those]
        rows.append([title, len(those), labelled, len(those) - labelled,
                     verdicts.count(True), verdicts.count(False)])  # fmt: skip
    print()
    table(rows)
    judged = [r.is_right for r in results if r.is_right is not None]
    if judged:
        print(f"  right in hindsight: {judged.count(True)} of {len(judged)} with two ways")
        half = len(judged) // 2
        print(f"  of the first half {judged[:half].count(True)} of {half}, "
              f"of the second {judged[half:].count(True)} of {len(judged) - half}")  # fmt: skip
    others = [r for r in results if not r.decision.auto.startswith(("direct", "split"))]
    if others:
        names = sorted({r.decision.auto.split(":")[0] for r in others})
        print(f"  tutti/auto would take another pattern for {len(others)}: {', '.join(names)}")


def print_predictions(results, is_real):
    rows = [
        ["prediction", "prompts", "predicted s", "actual s", "predicted/actual", "median error"]
    ]
    ways = [
        ("direct: split or compared", ("split", "compared"), lambda r: r.direct, "direct"),
        ("split: decided", ("split",), lambda r: r.split, "split"),
        ("split: by this script", ("compared",), lambda r: r.split, "split"),
    ]
    compared = ("split", "compared")
    alone = [
        ("by the facts alone: direct", compared, lambda r: r.direct, "direct"),
        ("by the facts alone: split", compared, lambda r: r.split, "split"),
    ]
    if is_real:  # for simulated hosts, answers without an estimate have no known length
        ways += [
            ("direct: left to a model", ("model",), lambda r: r.direct, "direct"),
            ("split: left to a model", ("model",), lambda r: r.split, "split"),
        ]
    named = [(*way, "predicted") for way in ways] + [(*way, "facts") for way in alone]
    for title, outcomes, answered, way, source in named:
        pairs = [
            (getattr(r.decision, f"{source}_{way}"), answered(r).seconds)
            for r in results if r.decision.outcome in outcomes and answered(r)
        ]  # fmt: skip
        rows.append([
            title, len(pairs), number(median(p for p, _ in pairs)),
            number(median(a for _, a in pairs)), number(median(p / a for p, a in pairs), 2),
            number(median(100 * abs(p - a) / a for p, a in pairs), 0, " %"),
        ])  # fmt: skip
    print()
    table(rows)
    gains = [
        (r.decision.predicted_direct / r.decision.predicted_split,
         r.direct.seconds / r.split.seconds)
        for r in results
        if r.split and r.decision.outcome in ("split", "compared")
    ]  # fmt: skip
    if gains:
        print(f"  speed-up by splitting, median: predicted {median(p for p, _ in gains):.2f}, "
              f"actual {median(a for _, a in gains):.2f}")  # fmt: skip
    pairs = [r for r in results if r.split]
    if pairs:
        print_first_tokens(pairs)
        ratio = median(r.split.tokens / max(1, r.direct.tokens) for r in pairs)
        print(f"  tokens of the split over tokens of the direct answer, median: {ratio:.2f}")


def print_first_tokens(results):
    """Prints first-token times. Each part has its own, so a long one makes splits expensive."""
    direct = median(task["first_token_ms"] for r in results for task in r.direct.tasks)
    split = median(task["first_token_ms"] for r in results for task in r.split.tasks)
    print(f"  first token, median: {number(direct, 0)} ms directly, {number(split, 0)} ms of a part")
    used = collections.Counter(task["host"] for r in results for task in r.direct.tasks)
    print("  direct answers by host: " + ", ".join(f"{h} {n}" for h, n in sorted(used.items())))


def print_strategies(results):
    """Prints the cost of each strategy. Without a split, all strategies answer directly."""
    strategies = {
        "always direct": [r.direct for r in results],
        "always split": [r.split or r.direct for r in results],
        "auto": [r.chosen for r in results],
        "best in hindsight": [
            min((way for way in (r.direct, r.split) if way), key=lambda way: way.seconds)
            for r in results
        ],
    }
    rows = [["strategy", "tokens", "of races", "seconds", "tokens x seconds", "sum of products"]]
    totals = {}
    for name, answers in strategies.items():
        tokens = sum(a.tokens + a.wasted for a in answers)
        seconds = sum(a.seconds for a in answers)
        products = sum((a.tokens + a.wasted) * a.seconds for a in answers)
        totals[name] = (tokens, seconds)
        rows.append([name, tokens, sum(a.wasted for a in answers), f"{seconds:.1f}",
                     f"{tokens * seconds:,.0f}", f"{products:,.0f}"])  # fmt: skip
    print()
    table(rows)
    auto = totals["auto"]
    others = ("always direct", "always split")
    same = [name for name in others if totals[name] == auto]
    better = [
        name for name in others
        if name not in same and totals[name][0] <= auto[0] * 1.05 and totals[name][1] <= auto[1]
    ]  # fmt: skip
    if same:
        print(f"  auto decided like {' and '.join(same)} for every prompt with a split")
    if better:
        print(f"  auto is dominated by: {', '.join(better)} (tokens within 5 %, no more seconds)")
    else:
        print("  auto is not dominated: no other strategy is as good in both tokens and seconds")


def print_mistakes(results):
    wrong = [r for r in results if r.is_right is False]
    if not wrong:
        return
    print("\n  wrong in hindsight")
    for r in wrong:
        print(f"    prompt {r.prompt.number} ({r.prompt.kind}): direct {r.direct.seconds:.1f} s with "
              f"{r.direct.tokens} tokens, split {r.split.seconds:.1f} s with {r.split.tokens}; "
              f"{r.decision.reason}")  # fmt: skip


def report_changes(first, second):
    """Prints the decisions that depend on the number of hosts."""
    before = {r.prompt.number: r.decision.outcome for r in first}
    both = [(before[r.prompt.number], r.decision.outcome) for r in second
            if r.prompt.number in before]  # fmt: skip
    changed = collections.Counter(pair for pair in both if pair[0] != pair[1])
    print(f"\nFrom the first scenario to the second, {changed.total()} of {len(both)} decisions "
          "changed")  # fmt: skip
    for (old, new), count in sorted(changed.items()):
        print(f"  {count} from {TITLES[old]!r} to {TITLES[new]!r}")


# MARK: - Main


def parse_arguments():
    prompts = pathlib.Path(__file__).resolve().parent.parent / "Tests/PlanningTests/prompts.json"
    parser = argparse.ArgumentParser(
        description=__doc__.strip(), epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--bin", required=True, metavar="DIR",
                        help="folder of tutti, tutti-faulty-host and the services")
    parser.add_argument("--real", action="store_true",
                        help="use the two local models of `tutti up` instead of simulated hosts "
                        "(TUTTI_MODEL_ENV is their folder)")
    parser.add_argument("--count", type=int, metavar="N",
                        help="number of prompts, half of them labelled as worth splitting (60; "
                        "with --real 20)")
    parser.add_argument("--seed", type=int, default=1, help="seed of sample and lengths (1)")
    parser.add_argument("--max-tokens", type=int, metavar="N",
                        help="max_tokens of every answer (600; with --real 200)")
    parser.add_argument("--spread", type=float, default=0.4, metavar="SIGMA",
                        help="spread of answer lengths around the planner's estimate: sigma of a "
                        "log-normal factor; 0 uses the estimate (0.4)")
    parser.add_argument("--hosts", type=MadeUpHost.parse, action="append",
                        metavar="RATE:FIRST[:SLOTS]",
                        help="a simulated host: tokens per second, milliseconds until the first "
                        "token, slots in the registry. May be repeated; replaces the scenarios "
                        "of 1 and 4 hosts by one with these")
    parser.add_argument("--found-only", action="store_true",
                        help="use only prompts labelled as worth splitting for which the probe "
                        "finds a split: tests more predictions, but shows no missed splits")
    parser.add_argument("--minutes", type=float, default=15, help="time limit of a scenario (15)")
    parser.add_argument("--prompts", default=prompts, metavar="FILE",
                        help="labelled prompts (JSON)")
    parser.add_argument("--json", metavar="FILE", help="write all measurements to FILE")
    arguments = parser.parse_args()
    arguments.count = arguments.count or (20 if arguments.real else 60)
    arguments.max_tokens = arguments.max_tokens or (200 if arguments.real else 600)
    return arguments


def scenarios_of(arguments):
    if arguments.real:
        return {"Two local models": None}
    if arguments.hosts:
        return {f"{len(arguments.hosts)} given hosts": arguments.hosts}
    return {"One simulated host": ONE_HOST, "Four unequal simulated hosts": FOUR_HOSTS}


def main():
    arguments = parse_arguments()

    def say(line):
        print(line, file=sys.stderr, flush=True)

    prompts = read_prompts(arguments.prompts)
    results, learned = {}, {}
    try:
        probe(arguments.bin, prompts, say)
        if arguments.found_only:
            prompts = [p for p in prompts if p.parts or not p.worth_splitting]
        prompts = choose_prompts(prompts, arguments.count, arguments.seed)
        set_lengths(prompts, arguments.spread, arguments.seed)
        for name, hosts in scenarios_of(arguments).items():
            corpus = None if arguments.real else corpus_of(prompts)
            with Cluster(arguments.bin, hosts, corpus) as cluster:
                results[name], learned[name] = run_scenario(
                    name, cluster, prompts, arguments, say)
    except (Failed, FileNotFoundError) as failure:
        sys.exit(f"split_gate: {failure}")
    lengths = "not set" if arguments.real else f"spread {arguments.spread:g}"
    print(f"Split gate: seed {arguments.seed}, max_tokens {arguments.max_tokens}, lengths {lengths}, "
          f"{os.cpu_count()} processors, load average {os.getloadavg()[1]:.1f} over 5 minutes "
          "(other load on this machine makes all numbers worse)")  # fmt: skip
    for name, measured in results.items():
        report(name, measured, arguments.real)
        print(f"\n  the gateway's view: {learned[name]}")
    if len(results) > 1:
        report_changes(*list(results.values())[:2])
    if arguments.json:
        plain = {name: [asdict(m) for m in measured] for name, measured in results.items()}
        pathlib.Path(arguments.json).write_text(json.dumps(plain, indent=1))


if __name__ == "__main__":
    main()
