#!/usr/bin/env python3
"""Kills gateway, registry and dispatcher under load, and compares the ledger with the sockets.

    kills.py --bin DIR [--kills 50] [--seed 1] [--clients 12]

Clients stream answers, ask for whole bodies and for plans, each with a key of its own. They count
the tokens that arrive on their sockets. Meanwhile processes get SIGKILL at random moments:

    gateway, registry, dispatcher    at any time
    last event    the gateway, up to 3 ms after a host sent the last event of an answer
    last byte     the gateway, at the moment at which a client has its whole answer
    pair          the registry, then the gateway, so that settlements wait in the journal

`tutti up` restarts them. At the end `ledger verify` must hold, no money may be held after the
documented time, each answer must be billed for the tokens on its socket, and nothing else may be
billed. The exit code is 1 if there is any difference.

A gateway records tokens after it has written them. If it is killed between the two, its last write
is not billed: at most the last tokens of a cut stream, or one body. There may be as many such
requests as kills of a gateway; they are in the column `last write`.

The prompt of an answer that was cut is an estimate, so streams have an input price of 0. Whole
bodies and plans report cached prompt tokens, which have a price of their own. A run without any
cached tokens is an error, because it would not test that price.
"""

import argparse
import collections
import json
import os
import random
import signal
import socket
import sys
import threading
import time

from money_cluster import CountingHost, MoneyCluster, micro

# A lease of a dead gateway ends after 63 s, and an unused one of a living gateway after 30 s.
LONGEST_HOLD = 63 + 30 + 10
# Most tokens of one write of a stream.
LAST_WRITE = 3
TARGETS = {"gateway": "tutti-gateway", "registry": "tutti-registry",
           "dispatcher": "tutti-dispatcher"}
KINDS = ["gateway", "registry", "dispatcher", "last event", "last byte", "pair"]
# Input, cached input and output, in credits per million tokens, which are micro-credits per token.
PRICES = {"stream": (0, 0, 2), "body": (3, 1, 2), "plan": (3, 1, 2)}


class Record:
    """One request as its client saw it."""

    def __init__(self, traffic):
        self.traffic = traffic
        self.status = 0
        self.trace = None
        self.prompt = 0
        # Part of the prompt that the host had in its cache.
        self.cached = 0
        # Tokens that arrived.
        self.tokens = 0
        self.is_whole = False

    @property
    def outcome(self):
        if self.status not in (0, 200):
            return "refused"
        if self.is_whole:
            return "whole"
        return "cut" if self.tokens else "unanswered"

    def cost(self):
        input, cached, output = PRICES[self.traffic]
        return (self.prompt - self.cached) * input + self.cached * cached + self.tokens * output


class Client(threading.Thread):
    """Sends one request after the other."""

    def __init__(self, run, traffic, key, seed):
        super().__init__(daemon=True)
        self.run_state, self.traffic, self.key = run, traffic, key
        self.rng = random.Random(seed)

    def run(self):
        while not self.run_state.stopped.is_set():
            record = Record(self.traffic)
            try:
                self.ask(record)
            except (OSError, ValueError):
                pass
            self.run_state.add(record)
            if record.outcome != "whole":
                time.sleep(0.2)  # the gateway may be restarting

    def ask(self, record):
        text = " ".join(f"x{self.rng.randint(0, 9)}" for _ in range(self.rng.randint(1, 40)))
        body = {"model": "stream", "messages": [{"role": "user", "content": text}],
                "max_tokens": 16}
        if self.traffic == "stream":
            body["stream"] = True
        else:
            body["model"] = "body"
        if self.traffic == "plan":
            body.update(model="tutti/ensemble", max_tokens=16,
                        tutti={"members": 2, "budget": {"tokens": 20000}})
        data = json.dumps(body).encode()
        with socket.create_connection(("127.0.0.1", self.run_state.cluster.port), 30) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n"
                b"content-type: application/json\r\nauthorization: Bearer %s\r\n"
                b"content-length: %d\r\n\r\n" % (self.key.encode(), len(data)) + data)
            reader = client.makefile("rb")
            try:
                self.read(record, reader)
            finally:
                reader.close()
        if record.is_whole:
            self.run_state.last_byte()

    def read(self, record, reader):
        line = reader.readline()
        if not line:
            return
        record.status = int(line.split()[1])
        length = None
        while (header := reader.readline()) not in (b"\r\n", b""):
            name, _, value = header.partition(b":")
            if name.lower() == b"x-tutti-trace":
                record.trace = value.strip().decode()
            if name.lower() == b"content-length":
                length = int(value)
        if record.status != 200:
            reader.read()
            return
        if self.traffic != "stream":
            text = reader.read(length)
            if len(text) < (length or 1):
                return
            usage = json.loads(text)["usage"]
            record.prompt, record.tokens = usage["prompt_tokens"], usage["completion_tokens"]
            record.cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
            record.is_whole = True
            return
        for line in reader:
            if not line.endswith(b"\n"):
                return
            if line.startswith(b"data: [DONE]"):
                record.is_whole = True
                return
            if not line.startswith(b"data: {"):
                continue
            for choice in json.loads(line[6:]).get("choices", []):
                record.tokens += len((choice["delta"].get("content") or "").split())


class Run:
    def __init__(self, options):
        self.rng = random.Random(options.seed)
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.records = []
        self.armed = None
        self.kills = collections.Counter()
        self.host = CountingHost(["stream", "body"], seed=options.seed)
        self.host.on_last_event = self.last_event
        self.cluster = MoneyCluster(options.bin, [self.host.url])
        keys = {traffic: self.account(traffic) for traffic in PRICES}
        time.sleep(2.5)  # prices are in force a second after they were made
        shares = ["stream", "body", "stream", "plan"]
        self.clients = [
            Client(self, shares[n % 4], keys[shares[n % 4]], options.seed * 1_000 + n)
            for n in range(options.clients)]

    def account(self, traffic):
        """Makes an organisation with a budget, a balance or none, a price and a key."""
        admin = self.cluster.admin
        admin("POST", "/organisations", {
            "id": traffic, "name": traffic, "prepaid": traffic == "body",
            "budgets": [{"amount": "1000", "period": "year"}] if traffic == "stream" else []})
        if traffic == "body":
            admin("POST", "/transfers", {
                "kind": "credit", "organisation": traffic, "amount": "1000"})
        if traffic != "plan":
            input, cached, output = PRICES[traffic]
            admin("POST", "/prices", {"model": traffic, "input": str(input),
                                      "cached_input": str(cached), "output": str(output)})
        # A plan uses only the model whose price its client knows.
        models = ["body"] if traffic == "plan" else [traffic]
        return admin("POST", "/keys", {
            "name": traffic, "account": traffic,
            "permissions": {"models": models}})["key"]

    def add(self, record):
        with self.lock:
            self.records.append(record)

    # Kills

    def pid(self, service):
        return self.cluster.services().get(TARGETS[service])

    def kill(self, service):
        pid = self.pid(service)
        if not pid:
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def last_event(self):
        self.fire("last event", self.rng.uniform(0, 0.003))

    def last_byte(self):
        self.fire("last byte", 0)

    def fire(self, kind, pause):
        """Kills the gateway if this kind of kill is armed."""
        with self.lock:
            if self.armed is None or self.armed[0] != kind:
                return
            _, pid, done = self.armed
            self.armed = None
        time.sleep(pause)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        done.set()

    def kill_once(self, kind):
        if kind in TARGETS:
            return self.kill(kind)
        if kind == "pair":
            if not self.kill("registry"):
                return False
            time.sleep(self.rng.uniform(0, 0.3))
            return self.kill("gateway")
        pid, done = self.pid("gateway"), threading.Event()
        if not pid:
            return False
        with self.lock:
            self.armed = (kind, pid, done)
        hit = done.wait(10)
        with self.lock:
            self.armed = None
        return hit

    def kill_all(self, count):
        kinds = [KINDS[n % len(KINDS)] for n in range(count)]
        self.rng.shuffle(kinds)
        for kind in kinds:
            time.sleep(self.rng.uniform(0.3, 1.5))
            deadline = time.monotonic() + 90
            while not self.kill_once(kind):
                if time.monotonic() > deadline:
                    raise SystemExit(f"money: no process for the kill {kind!r}")
                time.sleep(0.2)
            self.kills[kind] += 1
            self.cluster.wait(lambda: self.cluster.is_ready(self.cluster.port), 90, "come back")

    # The end

    def finish(self):
        time.sleep(1)
        self.stopped.set()
        for client in self.clients:
            client.join(60)
        held = self.cluster.wait_for_holds(LONGEST_HOLD)
        # `verify` does not read the last 10 seconds.
        time.sleep(11)
        return held, self.cluster.retried("/ledger/verify")


def brief(note):
    """The members of a settlement that show how it was billed."""
    names = ("gateway", "incarnation", "lease", "number", "held", "billed", "prompt_tokens",
             "cached_tokens", "completion_tokens", "problem")
    return note and " ".join(f"{n}={note[n]}" for n in names if n in note)


def is_last_write(record, billed):
    """Whether only the last write before a kill is not billed."""
    if record.outcome == "cut":
        return 0 < record.cost() - billed <= LAST_WRITE * PRICES[record.traffic][-1]
    return record.outcome == "whole" and record.traffic != "stream" and billed == 0


def compare(records, settlements):
    """Returns a row of counts per traffic, and sentences about differences."""
    rows = {traffic: collections.Counter() for traffic in PRICES}
    problems = []
    by_trace = {}
    for note in settlements:
        trace = note["trace"]
        if trace in by_trace:
            problems.append(f"{trace} was settled twice")
        by_trace[trace] = note
    seen = set()
    for record in records:
        row = rows[record.traffic]
        row["requests"] += 1
        row[record.outcome] += 1
        note = by_trace.get(record.trace) if record.trace else None
        if note:
            seen.add(record.trace)
        charged = micro(note["charged"]) if note else 0
        margin = micro(note["to_margin"]) if note else 0
        row["tokens"] += record.tokens
        row["cached"] += record.cached
        row["cost"] += record.cost()
        row["charged"] += charged
        row["margin"] += margin
        if record.outcome == "refused" or charged + margin != record.cost():
            if charged + margin == 0 and record.cost() == 0:
                continue
            if is_last_write(record, charged + margin):
                row["last write"] += 1
                continue
            row["differences"] += 1
            problems.append(
                f"{record.traffic} {record.trace}: {record.outcome}, socket has {record.prompt} "
                f"({record.cached} cached) + {record.tokens} tokens = {record.cost()}, billed "
                f"{charged} + {margin} (margin), settlement: {brief(note)}")
    for trace, note in by_trace.items():
        if trace not in seen and micro(note["charged"]) + micro(note["to_margin"]) != 0:
            problems.append(f"{trace} got no answer and is billed: {brief(note)}")
    return rows, problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=12)
    options = parser.parse_args()
    run = Run(options)
    try:
        for client in run.clients:
            client.start()
        time.sleep(2)
        run.kill_all(options.kills)
        held, proof = run.finish()
        rows, problems = compare(run.records, run.cluster.settlements())
        lost = sum(row["last write"] for row in rows.values())
        most = sum(run.kills[k] for k in ("gateway", "last event", "last byte", "pair"))
        if lost > most:
            problems.append(f"{lost} last writes are not billed, after {most} kills of a gateway")
        for traffic in ("body", "plan"):
            if not rows[traffic]["cached"]:
                problems.append(f"{traffic}: no answer had cached prompt tokens")
        if held is None:
            problems.append(f"money is held after {LONGEST_HOLD} s: {run.cluster.holds()}")
        problems += [f"ledger verify: {text}" for text in proof["differences"]]
    finally:
        run.stopped.set()
        run.cluster.stop()
        run.host.stop()
    print("kills: " + ", ".join(f"{n} {kind}" for kind, n in sorted(run.kills.items())))
    print("\n| | requests | whole | cut | unanswered | refused | tokens on sockets |"
          " cached prompt tokens | their cost | billed | margin | last write | differences |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for traffic, row in rows.items():
        cells = [row[c] for c in ("requests", "whole", "cut", "unanswered", "refused", "tokens",
                                  "cached", "cost", "charged", "margin", "last write",
                                  "differences")]
        print(f"| {traffic} | " + " | ".join(map(str, cells)) + " |")
    print("\nCosts are micro-credits. "
          f"Transactions verified: {proof['transactions']}. Holds ended after "
          f"{'?' if held is None else round(held, 1)} s.")
    for problem in problems[:40]:
        print("DIFFERENCE: " + problem)
    if len(problems) > 40:
        print(f"and {len(problems) - 40} more differences")
    sys.exit(1 if problems else 0)


main()
