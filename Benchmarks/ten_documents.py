#!/usr/bin/env python3
"""Ten documents over unequal hosts that come and go: real processes, real time.

Sources/PlanBenchmark runs the dispatcher's core in virtual time. This benchmark runs the whole
cluster (planner, dispatcher, agents, `infer()`, sockets) and compares the client's waiting time
with the best schedule under full knowledge.

    python3 Benchmarks/ten_documents.py
    python3 Benchmarks/ten_documents.py --bin Benchmarks/.build/release --seeds 1 --trace
"""

import argparse
import asyncio
import json
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from ports import free_ports

HELP = """\
Steps of a measurement; each seed has its own cluster
  1. Start four simulated hosts (tutti-faulty-host), by default with 25, 50, 75 and 100 tokens a
     second, in an order that depends on the seed. Each has one slot: this script runs a proxy (the
     "door") before it, which admits one request at a time and reports one slot, as llama.cpp with
     -np 1 does. Each host is asked directly, without Tutti, for a known number of tokens. The speed
     in the report is the highest one observed, there or in the measurement: timers and a busy
     machine make a host somewhat slower than configured.
  2. Start `tutti up` with three of them. Send warm-up questions until all three are measured.
  3. Request the plan of tutti/decompose: ten documents with a task each, and a task that compares
     them all.
  4. Send the request. At about 3 s the fourth host joins (`tutti hosts add`), at about 6 s one of
     the first three gets SIGKILL. Makespan: from sending the request to the answer's last byte.

Length of tasks: --tokens each, times 0.8 to 1.2 by seed; Tutti does not know it beforehand. The
comparison has 1.2 times --tokens.

How to read it
  best list      the shortest of many list schedules (--tries) with the same tasks, speeds, and
                 times of join and death: tasks in random orders of priority, each on the host that
                 ends it first. A task whose host dies resumes on another host after its last word.
                 Planning, sending and merging take no time.
  bound          lower bound of all schedules: all hosts work without a pause until only the
                 comparison is left
  × mean         time for all tokens at the mean speed of the four hosts, divided by the makespan
  × fastest      the same for the fastest host alone
  busy           share of the hosts' available time, until the last document is done, in which they
                 write
  whole          the answer has every word of every task, in order, once

Below the table: the tasks of each host and their times, such as `doc-01 0.4-3.1`; `|` marks a task
that the host's death cut. "waited" is the time that a task spent in the host's queue.

Exit status: 0, 1 if an answer was not whole, 2 if nothing was measured.
"""

MODEL = "made-up"
QUERY = (
    "Summarise each of the documents in ten sentences. "
    "Then compare all of them and write a report of ten sentences."
)
CLOSING_MARKER = "compare all of them"
CLOSING = "compare"
FIRST_TOKEN_MS = 50
WARM_UP_TOKENS = 30
# So large that it limits nothing: the hosts decide the length of answers.
MAX_TOKENS = 20_000
REQUEST_TIMEOUT = 120


class Failed(Exception):
    """The measurement failed: a process does not start, or a request is refused."""


def request(url, body=None, method=None, token=None, timeout=REQUEST_TIMEOUT):
    """Returns the JSON of an answer, and its headers."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        wanted = urllib.request.Request(url, data, headers, method=method)
        with opener.open(wanted, timeout=timeout) as response:
            return json.load(response), response.headers
    except urllib.error.HTTPError as error:
        raise Failed(f"HTTP {error.code} from {url}: {error.read()[:500].decode()}") from None
    except (OSError, ValueError) as error:
        raise Failed(f"no answer from {url}: {error}") from None


# MARK: - One slot


class Door:
    """A proxy that gives a host one slot.

    It admits one request at a time, in order of arrival, and reports arrivals, begins and ends on
    standard output, in seconds of the monotonic clock. It is a separate process, so that it can be
    killed like a host.
    """

    TASK = re.compile(rb"Read only: (doc-\d+)")

    def __init__(self, upstream):
        self.upstream = upstream
        self.slot = asyncio.Lock()
        self.number = 0

    async def serve(self):
        server = await asyncio.start_server(self.connected, "127.0.0.1", 0, limit=1 << 24)
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        async with server:
            await server.serve_forever()

    def tell(self, number, what, task, tokens=0):
        line = {"number": number, "what": what, "task": task, "tokens": tokens,
                "at": time.monotonic()}  # fmt: skip
        print(json.dumps(line), flush=True)

    async def connected(self, reader, writer):
        try:
            await self.answer(reader, writer)
        except (OSError, EOFError, ValueError, IndexError):
            pass  # one of the two sides closed the connection
        finally:
            writer.close()

    async def answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(length_of(head))
        path = head.split(b" ", 2)[1]
        if path == b"/props":
            props = json.dumps({"total_slots": 1}).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                         b"Server: llama.cpp\r\nContent-Length: %d\r\n\r\n%s" % (len(props), props))
            await writer.drain()
        elif path == b"/v1/chat/completions":
            await self.infer(head, body, reader, writer)
        else:
            await self.relay(head, body, writer)

    async def infer(self, head, body, reader, writer):
        self.number += 1
        number = self.number
        task = self.task_of(body)
        self.tell(number, "came", task)
        tokens = [0]

        async def in_turn():
            async with self.slot:
                self.tell(number, "began", task)
                await self.relay(head, body, writer, tokens)

        # The client sends nothing more, so a readable socket means that the client has closed it.
        work = asyncio.ensure_future(in_turn())
        left = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
            whole = work.done() and not work.exception()
        finally:
            work.cancel()
            left.cancel()
            await asyncio.gather(work, left, return_exceptions=True)
        self.tell(number, "ended" if whole else "left", task, tokens[0])

    def task_of(self, body):
        if match := self.TASK.search(body):
            return match[1].decode()
        return CLOSING if CLOSING_MARKER.encode() in body else ""

    async def relay(self, head, body, writer, tokens=None):
        upstream, sender = await asyncio.open_connection("127.0.0.1", self.upstream, limit=1 << 24)
        try:
            sender.write(head + body)
            head = await upstream.readuntil(b"\r\n\r\n")
            start, rest = head.split(b"\r\n", 1)
            writer.write(start + b"\r\nServer: llama.cpp\r\nConnection: close\r\n" + rest)
            if b"chunked" not in head.lower():
                writer.write(await upstream.readexactly(length_of(head)))
                return await writer.drain()
            size = None
            while size != 0:
                line = await upstream.readuntil(b"\r\n")
                size = int(line, 16)
                chunk = await upstream.readexactly(size + 2)
                if tokens is not None:
                    tokens[0] += chunk.count(b'"content":"')
                writer.write(line + chunk)
                await writer.drain()
        finally:
            sender.close()


def length_of(head):
    match = re.search(rb"(?im)^content-length: *(\d+)", head)
    return int(match[1]) if match else 0


# MARK: - Hosts and cluster


@dataclass
class Stay:
    """One request at a host's door. Times count from the client's request; None means not yet."""

    task: str
    came: float
    began: float | None = None
    ended: float | None = None
    whole: bool = False
    tokens: int = 0


class Host:
    """A simulated host with its door, and the door's reports."""

    def __init__(self, binaries, name, rate, corpus, seed):
        self.name, self.rate, self.first = name, rate, 0.0
        self.joins, self.dies = 0.0, float("inf")
        self.processes, self.lines = [], []
        command = [binaries / "tutti-faulty-host", "--model", MODEL, "--corpus", corpus,
                   "--first-token-ms", str(FIRST_TOKEN_MS),
                   "--inter-token-ms", f"{1000 / rate:.3f}", "--seed", str(seed)]  # fmt: skip
        url = self.start(command).stdout.readline().decode().strip()
        if not url:
            raise Failed(f"{command[0]} did not start")
        door = self.start([sys.executable, __file__, "--door", url.rsplit(":", 1)[1]])
        self.url = f"http://127.0.0.1:{json.loads(door.stdout.readline())['port']}"
        threading.Thread(target=self.read, args=(door.stdout,), daemon=True).start()

    def start(self, command):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def read(self, stream):
        for line in stream:
            self.lines.append(json.loads(line))

    def calibrate(self, tokens):
        """Measures the host's first-token time and speed with a direct request."""
        began = time.monotonic()
        request(f"{self.url}/v1/chat/completions", {
            "model": MODEL, "max_tokens": tokens,
            "messages": [{"role": "user", "content": "How fast are you?"}],
        })  # fmt: skip
        self.first = FIRST_TOKEN_MS / 1000
        self.rate = tokens / (time.monotonic() - began - self.first)

    def learn(self, stays):
        """Raises the speed to the highest one observed, because other load only slows a host."""
        for stay in stays:
            if stay.whole and stay.tokens >= WARM_UP_TOKENS:
                rate = stay.tokens / (stay.ended - stay.began - self.first)
                self.rate = max(self.rate, rate)

    def seconds(self, tokens):
        return self.first + tokens / self.rate

    def kill(self):
        for process in reversed(self.processes):
            process.kill()
        for process in self.processes:
            process.wait()

    def stays(self, start):
        """Returns the requests at the door since `start`, in order of arrival."""
        stays = {}
        for line in list(self.lines):
            if line["at"] < start:
                continue
            at = line["at"] - start
            if line["what"] == "came":
                stays[line["number"]] = Stay(line["task"], at)
            elif stay := stays.get(line["number"]):
                if line["what"] == "began":
                    stay.began = at
                else:
                    stay.ended, stay.tokens = at, line["tokens"]
                    stay.whole = line["what"] == "ended"
        for stay in stays.values():
            if stay.ended is None:
                stay.ended = self.dies  # the door was killed before it could report
        return list(stays.values())


class Cluster:
    """`tutti up` with some hosts, in a temporary directory."""

    def __init__(self, binaries, directory, hosts):
        self.binaries, self.data = binaries, directory / "data"
        log = directory / "up.log"
        command = [binaries / "tutti", "up", "--port", str(free_ports(3)), "--data-dir", self.data]
        for host in hosts:
            command += ["--host", host.url]
        with log.open("w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        file = self.data / "cluster.json"
        for _ in range(600):
            if self.process.poll() is not None:
                raise Failed(f"tutti up ended:\n{log.read_text()}")
            if file.exists():
                break
            time.sleep(0.1)
        else:
            self.end()
            raise Failed(f"tutti up is not ready after 60 s:\n{log.read_text()}")
        addresses = json.loads(file.read_text())
        self.gateway, self.registry = addresses["gateway"], addresses["registry"]
        self.token = pathlib.Path(addresses["admin_token_file"]).read_text().strip()

    def end(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def hosts(self):
        return request(f"{self.registry}/admin/v1/hosts", token=self.token)[0]["data"]

    def command(self, *arguments):
        result = subprocess.run(
            [self.binaries / "tutti", *arguments, "--data-dir", self.data],
            capture_output=True, text=True, timeout=REQUEST_TIMEOUT,
        )  # fmt: skip
        if result.returncode:
            raise Failed(f"tutti {arguments[0]}: {result.stderr.strip()}")
        return result.stdout

    def ask(self, model, content, path="/v1/chat/completions", **options):
        return request(f"{self.gateway}{path}", {
            "model": model, "max_tokens": MAX_TOKENS, "tutti": options,
            "messages": [{"role": "user", "content": content}],
        })  # fmt: skip

    def warm_up(self):
        """Sends questions until every host has a first-token time, a rate and its slots."""
        count = len(self.hosts())
        for _ in range(10):
            in_threads(lambda _: self.ask("tutti/fast", "Warm up.", race="single"), range(count))
            time.sleep(1.5)  # loads are published every second or so
            if all(host["slots"] and "tokens_per_second" in (host.get("load") or {})
                   for host in self.hosts()):  # fmt: skip
                return
        raise Failed(f"the hosts are not measured after 10 rounds: {self.hosts()}")


def in_threads(work, items):
    """Runs `work` on all items at once and raises the first failure."""
    failures = []

    def one(item):
        try:
            work(item)
        except Failed as failure:
            failures.append(failure)

    threads = [threading.Thread(target=one, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


# MARK: - The best schedule


class BestSchedule:
    """The best schedule under full knowledge.

    `tokens`: tokens of each document's task. `closing`: tokens of the task that reads them all.
    """

    def __init__(self, tokens, closing, hosts):
        self.tokens, self.closing, self.hosts = list(tokens), closing, hosts

    def by_list(self, tries, seed):
        rng = random.Random(seed)
        order = sorted(self.tokens, reverse=True)
        best = self.list(order, float("inf"))
        best = min(best, self.list(order[::-1], best))
        for _ in range(tries):
            rng.shuffle(order)
            best = min(best, self.list(order, best))
        return best

    def list(self, order, bound):
        """Returns the makespan of an order, or infinity if it exceeds `bound`."""
        free = [host.joins for host in self.hosts]
        last = 0.0
        for tokens in order:
            last = max(last, self.place(tokens, 0.0, free))
            if last >= bound:
                return float("inf")
        return min(bound, self.place(self.closing, last, free))

    def place(self, tokens, ready, free):
        """Places a task on the host that ends it first, or on two if the first one dies."""
        best = (float("inf"), [])
        for index, host in enumerate(self.hosts):
            begin = max(ready, free[index])
            end = begin + host.seconds(tokens)
            if end <= host.dies:
                best = min(best, (end, [(index, end)]))
                continue
            written = (host.dies - begin - host.first) * host.rate
            if written <= 0:
                continue
            for other, heir in enumerate(self.hosts):
                if other == index or heir.dies <= host.dies:
                    continue
                end = max(host.dies, free[other]) + heir.seconds(tokens - written)
                best = min(best, (end, [(index, host.dies), (other, end)]))
        end, used = best
        for index, until in used:
            free[index] = until
        return end

    def bound(self):
        """Returns a lower bound: no host pauses, and the fastest one runs the closing task."""
        left, now = float(sum(self.tokens)), 0.0
        changes = sorted({t for h in self.hosts for t in (h.joins, h.dies) if t > 0})
        for change in changes:
            speed = sum(h.rate for h in self.hosts if h.joins <= now < h.dies)
            if left <= speed * (change - now):
                now, left = now + left / speed, 0.0
                break
            left, now = left - speed * (change - now), change
        return now + min(h.seconds(self.closing) for h in self.hosts if now < h.dies)


# MARK: - One run


@dataclass
class Run:
    """The measurement of one seed. `stays`: the requests of each host, by host."""

    seed: int
    makespan: float
    best: float
    bound: float
    times_mean: float
    times_fastest: float
    busy: float
    missing: list
    joins: float
    dies: float
    reason: str
    hosts: list
    stays: dict
    tasks: list
    trace: str = ""
    tokens: dict = field(default_factory=dict)


def words(count, mark):
    """Returns sentences of `count` words that no other mark has.

    With a mark of one letter, a word is about as long as an average token.
    """
    return " ".join(f"{mark}{n}" + "." * (n % 12 == 11) for n in range(count))


def measure(binaries, seed, options, say):
    rng = random.Random(seed)
    names = [f"doc-{n:02d}" for n in range(1, options.documents + 1)]
    tokens = {name: round(options.tokens * rng.uniform(0.8, 1.2)) for name in names}
    tokens[CLOSING] = round(1.2 * options.tokens)
    rates = list(options.rates)
    rng.shuffle(rates)
    join_at, die_at = 3 + rng.uniform(-0.5, 0.5), 6 + rng.uniform(-1, 1)
    victim = rng.randrange(len(rates) - 1)
    answers = {f"Read only: {name}.": words(tokens[name], mark)
               for name, mark in zip(names, "abcdefghijk")}  # fmt: skip
    answers[CLOSING_MARKER] = words(tokens[CLOSING], "y")
    answers[MODEL] = words(WARM_UP_TOKENS, "z")
    hosts, cluster = [], None
    with tempfile.TemporaryDirectory(prefix="ten-documents-") as directory:
        directory = pathlib.Path(directory)
        corpus = directory / "corpus.json"
        corpus.write_text(json.dumps(answers))
        try:
            for place, rate in enumerate(rates):
                hosts.append(Host(binaries, f"host-{place + 1}", rate, corpus, seed + place))
            in_threads(lambda host: host.calibrate(WARM_UP_TOKENS), hosts)
            cluster = Cluster(binaries, directory, hosts[:-1])
            cluster.warm_up()
            documents = [{"name": name, "text": words(400, f"text-of-{name}-")} for name in names]
            asked = {"documents": documents, "race": "single", "seed": seed}
            plan, _ = cluster.ask("tutti/decompose", QUERY, "/v1/plans", **asked)
            plan = plan.get("plan") or {"tasks": [], "reason": plan.get("reason", "no plan")}
            say(f"seed {seed}: {plan['reason']}")
            if len(plan["tasks"]) < len(tokens):
                raise Failed(f"the planner did not split per document: {plan['reason']}")
            start = time.monotonic()
            failures = []

            def join():
                hosts[-1].joins = time.monotonic() - start
                try:
                    cluster.command("hosts", "add", hosts[-1].url)
                except Failed as failure:
                    failures.append(failure)

            def die():
                hosts[victim].dies = time.monotonic() - start
                hosts[victim].kill()

            timers = [threading.Timer(join_at, join), threading.Timer(die_at, die)]
            for timer in timers:
                timer.start()
            try:
                answer, headers = cluster.ask("tutti/decompose", QUERY, trace=True, **asked)
                makespan = time.monotonic() - start
            finally:
                for timer in timers:
                    timer.cancel()
                    timer.join()
            if failures:
                raise failures[0]
            stays = {host.name: host.stays(start) for host in hosts}
            text = answer["choices"][0]["message"]["content"] or ""
            trace = ""
            if options.trace:
                time.sleep(2)  # services send their spans about once a second
                trace = cluster.command("trace", headers["x-tutti-trace"])
            for host in hosts:
                host.learn(stays[host.name])
            urls = {listed["url"].rstrip("/"): listed["id"] for listed in cluster.hosts()}
        finally:
            if cluster:
                cluster.end()
            for host in hosts:
                host.kill()
    by_id = {urls.get(host.url): host.name for host in hosts}
    tasks = [dict(task, host=by_id.get(task["host"], task["host"]))
             for task in answer["tutti"]["tasks"]]  # fmt: skip
    missing = [name for name, text_of in zip([*names, CLOSING], answers.values())
               if text.count(text_of) != 1]  # fmt: skip
    schedule = BestSchedule([tokens[name] for name in names], tokens[CLOSING], hosts)
    alone = [sum(host.seconds(count) for count in tokens.values()) for host in hosts]
    mean = sum(tokens.values()) / statistics.mean(host.rate for host in hosts)
    return Run(
        seed, makespan, schedule.by_list(options.tries, seed), schedule.bound(), mean / makespan,
        min(alone) / makespan, busy(hosts, stays), missing, hosts[-1].joins, hosts[victim].dies,
        plan["reason"], hosts, stays, tasks, trace, tokens,
    )  # fmt: skip


def busy(hosts, stays):
    """Returns the share of the hosts' time, until the last document, in which they wrote."""
    until = max((s.ended for those in stays.values() for s in those if s.task != CLOSING and s.whole),
                default=0)  # fmt: skip
    there = sum(max(0, min(until, host.dies) - host.joins) for host in hosts)
    worked = sum(max(0, min(until, s.ended) - s.began)
                 for those in stays.values() for s in those if s.began is not None)  # fmt: skip
    return worked / there if there else 0


# MARK: - Report


def table(rows):
    """Prints rows. The first row is the heading; the first column is text, the others numbers."""
    widths = [max(len(str(row[n])) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        cells = [str(cell).rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join([str(row[0]).ljust(widths[0]), *cells]))


def report(runs):
    rows = [["", "makespan s", "best list s", "ratio", "bound s", "ratio", "× mean", "× fastest",
             "busy", "whole"]]  # fmt: skip
    for run in runs:
        rows.append([
            f"seed {run.seed}", f"{run.makespan:.2f}", f"{run.best:.2f}",
            f"{run.makespan / run.best:.2f}", f"{run.bound:.2f}", f"{run.makespan / run.bound:.2f}",
            f"{run.times_mean:.2f}", f"{run.times_fastest:.2f}", f"{100 * run.busy:.0f} %",
            "no: " + ", ".join(run.missing) if run.missing else "yes",
        ])  # fmt: skip
    table(rows)
    within = sum(run.makespan <= 1.15 * run.best for run in runs)
    print(f"within 15 % of the best list schedule: {within} of {len(runs)}")
    for run in runs:
        print()
        report_run(run)


def report_run(run):
    died = f"one dies at {run.dies:.1f} s" if run.dies < run.makespan else "none died"
    print(f"seed {run.seed}: one host joins at {run.joins:.1f} s, {died}, "
          f"{sum(run.tokens.values())} tokens")  # fmt: skip
    for host in run.hosts:
        events = []
        if host.joins > 0:
            events.append(f"joins {host.joins:.1f}")
        if host.dies < float("inf"):
            events.append(f"dies {host.dies:.1f}")
        print(f"  {host.name}  {host.rate:5.1f} tokens/s  {', '.join(events)}")
        for stay in run.stays[host.name]:
            if stay.began is None:
                print(f"    {stay.task:8} came {stay.came:.2f}, never begun, left {stay.ended:.2f}")
                continue
            mark = "" if stay.whole else " |"
            waited = stay.began - stay.came
            print(f"    {stay.task:8} {stay.began:6.2f} - {stay.ended:6.2f}{mark}"
                  + (f"  waited {waited:.2f}" if waited > 0.05 else ""))  # fmt: skip
    said = ", ".join(f"{task['id']} {task['host'] or '-'}" for task in run.tasks)
    print(f"  by the answer's trace: {said}")
    if run.trace:
        print(run.trace)


# MARK: - Main


def parse_arguments():
    repository = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(
        description=__doc__.strip(), epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--bin", type=pathlib.Path, default=repository / ".build" / "debug",
                        metavar="DIR", help="folder of tutti, tutti-faulty-host and the services "
                        "(.build/debug of the repository)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], metavar="N",
                        help="seeds, one run each (1 2 3)")
    parser.add_argument("--documents", type=int, default=10, metavar="N",
                        help="number of documents, 2 to 11 (10)")
    parser.add_argument("--tokens", type=int, default=130, metavar="N",
                        help="tokens of a document's task, before the factor of 0.8 to 1.2 (130)")
    parser.add_argument("--rates", type=float, nargs="+", default=[25, 50, 75, 100], metavar="R",
                        help="tokens a second of each host (25 50 75 100)")
    parser.add_argument("--tries", type=int, default=4_000, metavar="N",
                        help="number of list schedules to try (4000)")
    parser.add_argument("--trace", action="store_true", help="print `tutti trace` of each run")
    parser.add_argument("--door", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not 2 <= arguments.documents <= 11:
        parser.error("--documents must be from 2 to 11: with more, several documents share a task")
    if len(arguments.rates) < 3 or min(arguments.rates) <= 0:
        parser.error("--rates must be at least three positive numbers")
    return arguments


def main():
    arguments = parse_arguments()
    if arguments.door:
        return asyncio.run(Door(arguments.door).serve())

    def say(line):
        print(line, file=sys.stderr, flush=True)

    runs = []
    try:
        for seed in arguments.seeds:
            began = time.monotonic()
            runs.append(measure(arguments.bin, seed, arguments, say))
            say(f"seed {seed}: {runs[-1].makespan:.1f} s, best {runs[-1].best:.1f} s; "
                f"{time.monotonic() - began:.0f} s in all")  # fmt: skip
    except (Failed, FileNotFoundError) as failure:
        say(f"ten_documents: {failure}")
        sys.exit(2)
    rates = ", ".join(f"{rate:g}" for rate in arguments.rates)
    print(f"{arguments.documents} documents of about {arguments.tokens} tokens, hosts of {rates} "
          "tokens/s, one slot each; one joins at about 3 s, one dies at about 6 s")  # fmt: skip
    report(runs)
    sys.exit(1 if any(run.missing for run in runs) else 0)


if __name__ == "__main__":
    main()
