#!/usr/bin/env python3
"""Runs hostile hosts and clients against a real cluster, next to a healthy client.

    hostile.py --bin DIR [--rows REGEX] [--json FILE] [--list]
    hostile.py --bin DIR --soak MINUTES

Starts `tutti up` with one good host, runs a client that sends a request every 50 ms, and plays one
row after the other: hosts from the hostile mode of tutti-faulty-host, clients from clients.py, and
hostile peers of a tcp bus from bus.py. A row fails if a service dies, if a healthy request fails or
takes longer than 100 ms, if the gateway grows by more than 32 MiB, if a hostile byte costs more
than 3 times the processor time of an honest answer's byte, or if the cluster does not accept a new
host afterwards.

Linux only: memory and processor time come from /proc. All processes listen on 127.0.0.1, and the
script ends only processes that it started. Exit code 0 means that every row passed.
"""

import argparse
import collections
import json
import os
import queue
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

import bus
import clients
from cluster import GOOD_ANSWER, GOOD_MODEL, Cluster, FaultyHost, Gauge, TCPCluster, rss_mib

SLOWEST_MS, GROWTH_MIB, COST_RATIO = 100, 32, 3
# Below these values, a row's cost per byte is not meaningful.
LEAST_MB, LEAST_CPU = 0.25, 0.25
ROW_SECONDS = 20
CLIENT_ROW_SECONDS = 8
UNREAD_SECONDS = 6


class Honest:
    """A process of honest clients, with the results of their requests."""

    def __init__(self, cluster, *arguments):
        here = os.path.dirname(os.path.abspath(__file__))
        self.process = subprocess.Popen(
            [sys.executable, here + "/traffic.py", arguments[0], str(cluster.port), GOOD_MODEL,
             *map(str, arguments[1:])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "EXPECTED": GOOD_ANSWER})
        self.lines = []
        # Number of wrong answers by status or error.
        self.wrong = collections.Counter()
        # Start times of the open requests.
        self.open = set()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            words = line.split()
            began = float(words[0])
            if len(words) == 1:
                self.open.add(began)
            else:
                self.lines.append((began, float(words[1]), words[2] == "1"))
                if words[2] != "1":
                    self.wrong[words[3]] += 1
                self.open.discard(began)

    def between(self, start, end):
        return [line for line in list(self.lines) if start <= line[0] < end]

    def wait(self, before, seconds=32):
        """Waits until all requests begun before `before` end and a later one succeeds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            is_served = any(right for began, _, right in self.lines[-40:] if began >= before)
            if is_served and not any(began < before for began in list(self.open)):
                return True
            time.sleep(0.05)
        return False

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.thread.join()


def play_client(cluster, row):
    """Runs the clients of a host's row."""
    client = row["client"]
    model = GOOD_MODEL if client["is_shared"] else f"hostile/{row['name']}"
    value = {"model": model}
    if client["path"] == "/v1/embeddings":
        value["input"] = "hi"
    else:
        value.update(messages=[clients.USER], stream=client["stream"])
    if client.get("first_token_ms"):
        value["tutti"] = {"deadlines_ms": {"first_token": client["first_token_ms"]}}
    body = json.dumps(value).encode()
    statuses = []
    if not client["reads"]:
        clients.held(
            cluster.port, client["clients"], UNREAD_SECONDS,
            clients.head("POST", client["path"], len(body)) + body)
        return statuses
    deadline = time.monotonic() + ROW_SECONDS

    def ask(_):
        for number in range(client["times"]):
            left = deadline - time.monotonic()
            if left <= 0:
                return
            # Hosts cache prompts, so each request has its own prompt.
            value.get("messages", [{}])[0] = {"role": "user", "content": f"hi {number}"}
            mine = json.dumps(value).encode()
            statuses.append(
                clients.exchange(cluster.port, "POST", client["path"], mine, seconds=left))

    clients.together(client["clients"], ask)
    return statuses


def takes_a_new_host(cluster, number):
    fresh = FaultyHost(cluster.bin_dir, [f"fresh-{number}"])
    name = cluster.add(fresh)
    try:
        return cluster.wait_for_model(f"fresh-{number}", 10)
    finally:
        cluster.remove(name)
        fresh.stop()


class Harness:
    def __init__(self, bin_dir):
        self.bin_dir = bin_dir
        self.cluster = None
        self.honest = None
        self.number = 0
        # Processor seconds per MB of an honest answer, by dialect.
        self.honest_cost = {}
        self.calm_cpu_per_second = 0.0

    def start(self, tcp=False):
        self.cluster = TCPCluster(self.bin_dir) if tcp else Cluster(self.bin_dir)
        self.honest = Honest(self.cluster, "paced")
        self.honest.wait(0)
        time.sleep(1)
        gauge = Gauge(self.cluster)
        start = time.monotonic()
        time.sleep(3)
        _, cpu = gauge.stop()
        end = time.monotonic()
        self.calm_cpu_per_second = cpu / (end - start)
        calm = self.honest.between(start, end)
        self.calm_slowest = max((ms for _, ms, _ in calm), default=0)

    def stop(self):
        if self.honest:
            self.honest.stop()
        if self.cluster:
            self.cluster.stop()
        self.honest = self.cluster = None

    def host_row(self, row):
        cluster = self.cluster
        models = [GOOD_MODEL if row["client"]["is_shared"] else f"hostile/{row['name']}"]
        hosts = [
            FaultyHost(self.bin_dir, models, row["dialect"], row["name"], second=number == 1)
            for number in range(row["hosts"])]
        try:
            names = [cluster.add(host) for host in hosts]
            statuses, words = [], None
            if row["target"] == "answer":
                cluster.wait_for_model(models[0], 5)
                statuses = play_client(cluster, row)
            else:
                time.sleep(4)
                # The table must still be published while it contains this host's data.
                if not takes_a_new_host(cluster, f"next-{self.number}"):
                    words = "a new host was not accepted next to it"
            for name in names:
                cluster.remove(name)
            counts = [host.counts() for host in hosts]
            sent = sum(bytes_sent for bytes_sent, _ in counts)
            if not sent and not any(asked for _, asked in counts):
                words = words or "not reached"
            return sent, statuses, words
        finally:
            for host in hosts:
                host.stop()

    def play(self, row):
        """Plays one row. Returns its line of the table."""
        tcp = row["kind"] == "bus"
        if self.cluster and tcp != isinstance(self.cluster, TCPCluster):
            self.stop()
        if self.cluster is None:
            self.start(tcp)
        self.number += 1
        cluster, honest = self.cluster, self.honest
        cluster.died()
        gauge = Gauge(cluster)
        start = time.monotonic()
        sent, words, statuses = 0, None, []
        if row["kind"] == "host":
            sent, statuses, words = self.host_row(row)
        elif tcp:
            bus.ROWS[row["name"]]((cluster.bus_port, cluster.bus_port + 2), CLIENT_ROW_SECONDS)
        else:
            clients.STATUSES.clear()
            words = clients.ROWS[row["name"]](cluster.port, CLIENT_ROW_SECONDS)
            statuses = [(status, 0) for status in clients.STATUSES]
        time.sleep(0.5)
        end = time.monotonic()
        honest.wait(end)
        growth, cpu = gauge.stop()
        seconds = time.monotonic() - start
        cpu = max(0.0, cpu - self.calm_cpu_per_second * seconds)
        lines = honest.between(start, end)
        failed = sum(not right for _, _, right in lines)
        slowest = max((ms for _, ms, _ in lines), default=0)
        died = cluster.died()
        if row["kind"] == "host" and row["client"]["is_shared"]:
            wrong = sum(status != 200 for status, _ in statuses)
            words = f"{wrong} of {len(statuses)} requests failed" if wrong else words
        if not takes_a_new_host(cluster, self.number):
            words = words or "a new host was not accepted"
        # A process that hangs while it crashes takes a while to end.
        died = sorted({*died, *cluster.died()})
        megabytes = sent / 1e6
        result = {
            "row": row["name"], "died": died, "healthy": len(lines), "failed": failed,
            "slowest_ms": round(slowest), "rss_mib": round(growth, 1), "cpu_s": round(cpu, 2),
            "hostile_mb": round(megabytes, 2), "hostile_bytes": sent, "seconds": round(seconds, 1), "words": words,
            "statuses": sorted({status for status, _ in statuses}),
        }
        result["cpu_per_mb"] = round(cpu / megabytes, 3) if megabytes >= LEAST_MB else None
        self.judge(row, result)
        if died or failed or "new host" in (words or ""):
            # The next row gets a new cluster.
            self.stop()
        return result

    def judge(self, row, result):
        dialect = row.get("dialect", "openai")
        cost = result["cpu_per_mb"]
        if row["name"].endswith("honest"):
            self.honest_cost[dialect] = cost
        honest = self.honest_cost.get(dialect)
        result["ratio"] = round(cost / honest, 2) if cost is not None and honest else None
        faults = []
        if result["died"]:
            faults.append("died: " + " ".join(result["died"]))
        if result["failed"]:
            faults.append("failed")
        if result["slowest_ms"] > SLOWEST_MS:
            faults.append("slow")
        if result["rss_mib"] > GROWTH_MIB:
            faults.append("memory")
        if (result["ratio"] or 0) > COST_RATIO and result["cpu_s"] > LEAST_CPU:
            faults.append("cost")
        if result["words"]:
            faults.append(result["words"])
        result["verdict"] = ", ".join(faults) or "ok"


COLUMNS = [
    ("row", 26), ("died", 10), ("failed", 6), ("slowest_ms", 10), ("rss_mib", 8), ("cpu_s", 7),
    ("hostile_mb", 10), ("cpu_per_mb", 10), ("ratio", 6), ("verdict", 0)]


def show(result=None):
    cells = []
    for name, width in COLUMNS:
        value = name if result is None else result[name]
        if isinstance(value, list):
            value = "+".join(value) or "-"
        value = "-" if value is None else str(value)
        cells.append(value.ljust(width) if name in ("row", "verdict", "died") else value.rjust(width))
    print("  ".join(cells).rstrip(), flush=True)


def all_rows(bin_dir):
    host = FaultyHost(bin_dir, ["m"])
    try:
        rows = [{**row, "kind": "host"} for row in host.rows()]
    finally:
        host.stop()
    return (rows + [{"name": name, "kind": "client"} for name in clients.ROWS]
            + [{"name": name, "kind": "bus"} for name in bus.ROWS])


def table(arguments, rows):
    harness = Harness(arguments.bin)
    wanted = [row for row in rows if re.search(arguments.rows, row["name"])]
    # The cost of an honest byte is measured first.
    dialects = {row["dialect"] for row in wanted if row["kind"] == "host"}
    first = [row for row in rows if row["name"].endswith("honest") and row["dialect"] in dialects]
    results = []
    show()
    try:
        for row in first + [row for row in wanted if row not in first]:
            result = harness.play(row)
            results.append(result)
            show(result)
    finally:
        harness.stop()
        if arguments.json:
            with open(arguments.json, "w") as file:
                json.dump(results, file, indent=1)
    bad = sum(result["verdict"] != "ok" for result in results)
    print(f"\n{len(results)} rows, {bad} failed; slowest healthy request without a row: "
          f"{harness.calm_slowest:.0f} ms")
    return 1 if bad else 0


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0


def slowest_rows(played, lines):
    """Prints the rows during which honest requests took longest. Rows overlap, so this is a hint."""
    times = {}
    for name, start, end in played:
        times.setdefault(name, []).extend(ms for began, ms, _ in lines if start <= began < end)
    order = sorted(times, key=lambda name: -quantile(times[name], 0.95))
    for name in order[:12]:
        print(f"  during {name}: {len(times[name])} requests, p50 {quantile(times[name], 0.5):.0f} ms, "
              f"p95 {quantile(times[name], 0.95):.0f} ms")


def soak(arguments, rows):
    """Runs 20 honest clients, first alone, then next to all rows in random order."""
    cluster = Cluster(arguments.bin)
    chance = random.Random(1)
    hosts, faults, played = [], queue.Queue(), []
    honest = Honest(cluster, "steady", 20)
    try:
        honest.wait(0)
        for dialect in ("openai", "ollama", "anthropic"):
            mine = [row for row in rows if row["kind"] == "host" and row["dialect"] == dialect
                    and row["target"] == "answer" and not row["client"]["is_shared"]]
            hosts.append(FaultyHost(
                arguments.bin, [f"hostile/{row['name']}" for row in mine], dialect))
        twice = [row for row in rows if row["kind"] == "host" and row["hosts"] == 2]
        second = FaultyHost(
            arguments.bin, [f"hostile/{row['name']}" for row in twice], second=True)
        hosts.append(second)
        alone = min(120, arguments.soak * 60 / 4)
        start = time.monotonic()
        report = lambda name, lines: print(
            f"{name}: {len(lines)} requests, right "
            f"{100 * statistics.mean(r for _, _, r in lines) if lines else 0:.3f} %, "
            f"p50 {quantile([ms for _, ms, _ in lines], 0.5):.0f} ms, "
            f"p99 {quantile([ms for _, ms, _ in lines], 0.99):.0f} ms", flush=True)
        time.sleep(alone)
        begun = time.monotonic()
        calm = honest.between(start, begun)
        report("alone", calm)
        for host in hosts:
            cluster.add(host)
        end = begun + arguments.soak * 60
        rss_before = rss_mib(cluster.gateway)

        def attack():
            mine = random.Random(chance.random())
            plays = [row for row in rows if row["kind"] == "client" or row["kind"] == "host"
                     and row["target"] == "answer" and not row["client"]["is_shared"]]
            while time.monotonic() < end:
                row = mine.choice(plays)
                began = time.monotonic()
                try:
                    if row["kind"] == "client":
                        clients.ROWS[row["name"]](cluster.port, CLIENT_ROW_SECONDS)
                    else:
                        play_client(cluster, row)
                except Exception as error:  # other rows continue; report the bug of this row
                    faults.put(f"{row['name']}: {error!r}")
                played.append((row["name"], began, time.monotonic()))

        threads = [threading.Thread(target=attack, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        step = 0
        while time.monotonic() < end:
            window = time.monotonic()
            time.sleep(min(10, max(0, end - time.monotonic())))
            step += 1
            died = cluster.died()
            lines = honest.between(begun, time.monotonic())
            recent = [ms for _, ms, _ in honest.between(window, time.monotonic())]
            print(f"{step * 10:5d} s  gateway {rss_mib(cluster.gateway):6.1f} MiB "
                  f"({rss_mib(cluster.gateway) - rss_before:+.1f})  "
                  f"p99 {quantile(recent, 0.99) if recent else 0:5.0f} ms  "
                  f"wrong {sum(not r for _, _, r in lines)} of {len(lines)}"
                  + (f"  died: {' '.join(died)}" if died else ""), flush=True)
        for thread in threads:
            thread.join(60)
        honest.wait(end)
        mixed = honest.between(begun, end)
        report("alone", calm)
        report("mixed", mixed)
        if honest.wrong:
            print("wrong answers:", dict(honest.wrong))
        slowest_rows(played, mixed)
        if arguments.json:
            with open(arguments.json, "w") as file:
                json.dump({"played": played, "requests": mixed}, file)
        while not faults.empty():
            print("harness:", faults.get())
        calm_p99 = quantile([ms for _, ms, _ in calm], 0.99)
        mixed_p99 = quantile([ms for _, ms, _ in mixed], 0.99)
        good = bool(mixed) and all(right for _, _, right in mixed) and mixed_p99 <= 2 * calm_p99
        print(f"p99 ratio {mixed_p99 / calm_p99 if calm_p99 else 0:.2f}: {'ok' if good else 'failed'}")
        return 0 if good else 1
    finally:
        honest.stop()
        for host in hosts:
            host.stop()
        cluster.stop()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="folder of the executables")
    parser.add_argument("--rows", default="", help="regular expression of the rows to play")
    parser.add_argument("--json", help="file for the results")
    parser.add_argument("--list", action="store_true", help="list the rows and exit")
    parser.add_argument("--soak", type=float, help="minutes of the mixed run")
    arguments = parser.parse_args()
    # SIGTERM also ends the started processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rows = all_rows(arguments.bin)
    if arguments.list:
        for row in rows:
            print(f"{row['name']:28}{row.get('harm') or ''}")
        return 0
    return soak(arguments, rows) if arguments.soak else table(arguments, rows)


if __name__ == "__main__":
    sys.exit(main())
