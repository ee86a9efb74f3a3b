#!/usr/bin/env python3
"""Runs hostile hosts and clients against a real cluster, next to a healthy client.

    hostile.py --bin DIR [--rows REGEX] [--json FILE] [--list]
    hostile.py --bin DIR --soak MINUTES [--open] [--seed N] [--json FILE]

Starts `tutti up` with one good host, runs a client that sends a request every 50 ms, and plays one
row after the other: hosts from the hostile mode of tutti-faulty-host, clients from clients.py, lists
of models from lists.py, clients of a cluster with keys and strangers from accounts.py, and hostile
peers of a tcp bus from bus.py. A row fails if a service dies, if a healthy request fails or takes
longer than 100 ms, if a service grows by more than 32 MiB, if a hostile byte costs more than 3 times
the processor time of an honest answer's byte, or if the cluster does not accept a new host
afterwards.

Hostile hosts and clients run with the lowest priority of the scheduler (SCHED_IDLE): in reality they
are on other machines, and their own work must not count as a delay by the cluster. For the same
reason each player of rows has an address of its own: the script runs in its own network namespace
(`unshare`), in which these addresses are routed to the loopback interface.

The soak runs 20 honest clients for some minutes alone, while the hostile processes exist and wait,
and then next to all rows in random order. It prints both figures, the processor time of each
process, memory by minute, and the slowest requests with the rows and processes that were active.

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

import accounts
import bus
import clients
import lists
from cluster import GOOD_ANSWER, GOOD_MODEL, Cluster, FaultyHost, Gauge, Sampler, TCPCluster, rss_mib
from player import Player
from strangers import enter_network

SLOWEST_MS, GROWTH_MIB, COST_RATIO = 100, 32, 3
# Below these values, a row's cost per byte is not meaningful.
LEAST_MB, LEAST_CPU = 0.25, 0.25
CLIENT_ROW_SECONDS = 8
# Clients next to hosts with hostile lists.
LIST_CLIENTS = ("account-near-names", "account-ready-flood", "account-models-kept")
PLAYERS = 4
SLOWEST_SHOWN = 15


class Honest:
    """A process of honest clients, with the results of their requests."""

    def __init__(self, cluster, *arguments):
        here = os.path.dirname(os.path.abspath(__file__))
        self.process = subprocess.Popen(
            [sys.executable, here + "/traffic.py", arguments[0], str(cluster.port), GOOD_MODEL,
             *map(str, arguments[1:])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "EXPECTED": GOOD_ANSWER, "KEY": cluster.keys.get("honest", "")})
        # (start, milliseconds, right, kind, milliseconds to the connection, to the first byte)
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
                self.lines.append((began, float(words[1]), words[2] == "1", words[4],
                                   float(words[5]), float(words[6])))
                if words[2] != "1":
                    self.wrong[words[3]] += 1
                self.open.discard(began)

    def between(self, start, end):
        return [line for line in list(self.lines) if start <= line[0] < end]

    def wait(self, before, seconds=32):
        """Waits until all requests begun before `before` end and a later one succeeds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            is_served = any(line[2] for line in self.lines[-40:] if line[0] >= before)
            if is_served and not any(began < before for began in list(self.open)):
                return True
            time.sleep(0.05)
        return False

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.thread.join()


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
        self.player = Player()
        self.number = 0
        # Processor seconds per MB of an honest answer, by dialect.
        self.honest_cost = {}
        self.calm_cpu_per_second = 0.0

    def start(self, setting):
        """Starts a cluster: `tcp`, `keys` or `open`."""
        self.setting = setting
        self.cluster = (TCPCluster(self.bin_dir) if setting == "tcp"
                        else Cluster(self.bin_dir, with_keys=setting == "keys"))
        self.honest = Honest(self.cluster, "paced")
        self.honest.wait(0)
        time.sleep(1)
        gauge = Gauge(self.cluster)
        start = time.monotonic()
        time.sleep(3)
        _, cpu = gauge.stop()
        end = time.monotonic()
        self.calm_cpu_per_second = cpu.get("gateway", 0) / (end - start)
        calm = self.honest.between(start, end)
        self.calm_slowest = max((line[1] for line in calm), default=0)

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
            FaultyHost(self.bin_dir, models, row["dialect"], row["name"], second=number == 1,
                       is_outsider=True)
            for number in range(row["hosts"])]
        try:
            names = [cluster.add(host) for host in hosts]
            statuses, words = [], None
            if row["target"] == "answer":
                cluster.wait_for_model(models[0], 5)
                words, statuses = self.player.play(row, cluster, 0)
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

    def list_row(self, row):
        """Plays clients next to hosts with hostile lists of models."""
        kind, count = lists.ROWS[row["name"]]
        hosts = lists.Hosts(kind, count)
        names, statuses, words = [], [], None
        try:
            names = [self.cluster.add_url(url) for url in hosts.urls]
            for name in LIST_CLIENTS:
                broken, more = self.player.play(
                    {"kind": "account", "name": name}, self.cluster, CLIENT_ROW_SECONDS / 2)
                words = words or broken
                statuses += more
            broken, more = self.player.play(
                {"kind": "client", "name": "client-plan-storm"}, self.cluster, CLIENT_ROW_SECONDS)
            return statuses + more, words or broken
        finally:
            for name in names:
                self.cluster.remove(name)
            hosts.stop()

    def play(self, row):
        """Plays one row. Returns its line of the table."""
        setting = {"bus": "tcp", "account": "keys"}.get(row["kind"], "open")
        if self.cluster and setting != self.setting:
            self.stop()
        if self.cluster is None:
            self.start(setting)
        self.number += 1
        cluster, honest = self.cluster, self.honest
        cluster.died()
        gauge = Gauge(cluster)
        start = time.monotonic()
        sent, words, statuses = 0, None, []
        if row["kind"] == "host":
            sent, statuses, words = self.host_row(row)
        elif row["kind"] == "list":
            statuses, words = self.list_row(row)
        elif row["kind"] == "bus":
            bus.ROWS[row["name"]]((cluster.bus_port, cluster.bus_port + 2), CLIENT_ROW_SECONDS)
        else:
            words, statuses = self.player.play(row, cluster, CLIENT_ROW_SECONDS)
        time.sleep(0.5)
        end = time.monotonic()
        honest.wait(end)
        growth, cpu = gauge.stop()
        seconds = time.monotonic() - start
        busiest = max(cpu, key=cpu.get, default="gateway")
        busiest = f"{busiest} {cpu.get(busiest, 0):.1f}"
        cpu = max(0.0, cpu.get("gateway", 0) - self.calm_cpu_per_second * seconds)
        lines = honest.between(start, end)
        failed = sum(not line[2] for line in lines)
        slowest = max((line[1] for line in lines), default=0)
        died = cluster.died()
        if row["kind"] == "host" and row["client"]["is_shared"]:
            wrong = sum(status != 200 for status in statuses)
            words = f"{wrong} of {len(statuses)} requests failed" if wrong else words
        if not takes_a_new_host(cluster, self.number):
            words = words or "a new host was not accepted"
        # A process that hangs while it crashes takes a while to end.
        died = sorted({*died, *cluster.died()})
        megabytes = sent / 1e6
        largest = max(growth, key=growth.get, default="gateway")
        result = {
            "row": row["name"], "died": died, "healthy": len(lines), "failed": failed,
            "slowest_ms": round(slowest), "rss_mib": round(growth.get(largest, 0), 1),
            "largest": largest, "cpu_s": round(cpu, 2), "busiest": busiest,
            "hostile_mb": round(megabytes, 2), "hostile_bytes": sent, "seconds": round(seconds, 1),
            "words": words, "statuses": sorted(set(statuses)), "answers": len(statuses),
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
            faults.append(f"memory of the {result['largest']}")
        if (result["ratio"] or 0) > COST_RATIO and result["cpu_s"] > LEAST_CPU:
            faults.append("cost")
        if result["words"]:
            faults.append(result["words"])
        result["verdict"] = ", ".join(faults) or "ok"


COLUMNS = [
    ("row", 30), ("died", 10), ("failed", 6), ("slowest_ms", 10), ("rss_mib", 8), ("cpu_s", 7),
    ("busiest", 15), ("hostile_mb", 10), ("cpu_per_mb", 10), ("ratio", 6), ("answers", 8),
    ("verdict", 0)]


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
            + [{"name": name, "kind": "list"} for name in lists.ROWS]
            + [{"name": name, "kind": "account"} for name in accounts.ROWS]
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
        harness.player.stop()
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
        times.setdefault(name, []).extend(line[1] for line in lines if start <= line[0] < end)
    order = sorted(times, key=lambda name: -quantile(times[name], 0.95))
    for name in order[:12]:
        print(f"  during {name}: {len(times[name])} requests, p50 {quantile(times[name], 0.5):.0f} ms, "
              f"p95 {quantile(times[name], 0.95):.0f} ms")


def slowest_requests(played, lines, sampler):
    """Prints the slowest requests with the rows and the processes that were active meanwhile."""
    print("slowest requests: ms (to connection, to first byte), kind, processors used meanwhile")
    for began, ms, right, kind, connected, first in sorted(lines, key=lambda line: -line[1])[:SLOWEST_SHOWN]:
        ended = began + ms / 1e3
        used, waited, seconds = sampler.between(began, ended)
        busy = sorted(((share / seconds, name) for name, share in used.items() if seconds > 0),
                      reverse=True)
        text = ", ".join(f"{name} {100 * share:.0f} %" for share, name in busy[:5] if share >= 0.05)
        rows = sorted({name for name, start, end in played if start <= ended and end >= began})
        print(f"  {ms:6.0f} ({connected:.0f}, {first:.0f}) {kind}{'' if right else ' WRONG'}: {text}; "
              f"the gateway was ready and waited {waited * 1e3:.0f} ms; rows: {', '.join(rows) or '-'}")


class Soak:
    """20 honest clients, first alone and then next to all rows."""

    def __init__(self, arguments, rows):
        self.arguments = arguments
        self.rows = rows
        self.cluster = Cluster(
            arguments.bin, with_keys=not arguments.open, pace=arguments.pace)
        self.honest = Honest(self.cluster, "steady", 20)
        self.players = [Player(number) for number in range(PLAYERS)]
        self.hosts, self.played, self.faults = [], [], queue.Queue()
        self.list_hosts = None
        self.sampler = None

    def start_hosts(self):
        answers = [row for row in self.rows if row["kind"] == "host" and row["target"] == "answer"
                   and not row["client"]["is_shared"]]
        for dialect in ("openai", "ollama", "anthropic"):
            self.hosts.append(FaultyHost(
                self.arguments.bin,
                [f"hostile/{row['name']}" for row in answers if row["dialect"] == dialect], dialect,
                is_outsider=True))
        twice = [row for row in answers if row["hosts"] == 2]
        self.hosts.append(FaultyHost(
            self.arguments.bin, [f"hostile/{row['name']}" for row in twice], second=True,
            is_outsider=True))
        for host in self.hosts:
            self.cluster.add(host)
        # All hosts of the lists exist during the whole run.
        self.list_hosts = [lists.Hosts(kind, min(count, 8)) for kind, count in lists.ROWS.values()]
        for hosts in self.list_hosts:
            for url in hosts.urls:
                self.cluster.add_url(url)

    def pids(self):
        pids = {re.sub("^tutti-", "", name): pid for name, pid in self.cluster.services.items()}
        pids.update({"good host": self.cluster.good.process.pid,
                     "large host": self.cluster.large.process.pid,
                     "honest clients": self.honest.process.pid})
        pids.update({f"player {n}": player.process.pid for n, player in enumerate(self.players)})
        pids.update({f"hostile host {n}": host.process.pid for n, host in enumerate(self.hosts)})
        pids.update({f"list hosts {n}": hosts.process.pid for n, hosts in enumerate(self.list_hosts)})
        pids["harness"] = os.getpid()
        return pids

    def attack(self, player, chance, end):
        kinds = {"client", "host"} | (set() if self.arguments.open else {"account"})
        plays = [row for row in self.rows if row["kind"] in kinds and (
            row["kind"] != "host" or row["target"] == "answer" and not row["client"]["is_shared"])]
        while time.monotonic() < end:
            row = chance.choice(plays)
            began = time.monotonic()
            try:
                words, _ = player.play(row, self.cluster, CLIENT_ROW_SECONDS)
                # Rows share keys and hosts here, so that a broken limit is only a hint.
                if words and words.startswith("the row failed"):
                    self.faults.put(f"{row['name']}: {words}")
            except (RuntimeError, OSError) as error:
                self.faults.put(f"{row['name']}: {error!r}")
            self.played.append((row["name"], began, time.monotonic()))

    def show_cpu(self, calm, mixed):
        """Prints processors used by each process, alone and next to the rows."""
        before, calm_waited, calm_seconds = self.sampler.between(*calm)
        after, waited, seconds = self.sampler.between(*mixed)
        print("processors used, alone and mixed:")
        for name in sorted(after, key=lambda name: -after[name]):
            if after[name] / seconds >= 0.005 or before[name] / calm_seconds >= 0.005:
                print(f"  {name:18} {100 * before[name] / calm_seconds:6.1f} %  "
                      f"{100 * after[name] / seconds:6.1f} %")
        print(f"  the gateway was ready and waited: {100 * calm_waited / calm_seconds:.1f} % alone, "
              f"{100 * waited / seconds:.1f} % mixed")

    def show_memory(self):
        names = [name for name in self.pids() if name in self.sampler.memory[0][1]
                 and not name.startswith(("player", "hostile", "list", "harness", "honest"))]
        print("memory by minute, MiB:")
        for name in names:
            print(f"  {name:18} " + " ".join(f"{memory[name]:6.1f}" for _, memory in self.sampler.memory))

    def run(self):
        arguments, cluster, honest = self.arguments, self.cluster, self.honest
        honest.wait(0)
        self.start_hosts()
        time.sleep(5)
        self.sampler = Sampler(self.pids(), cluster.gateway)
        alone = min(120, arguments.soak * 60 / 4)
        start = time.monotonic()
        time.sleep(alone)
        begun = time.monotonic()
        calm = honest.between(start, begun)
        self.report("alone", calm)
        end = begun + arguments.soak * 60
        rss_before = rss_mib(cluster.gateway)
        chance = random.Random(arguments.seed)
        threads = [threading.Thread(
            target=self.attack, args=(player, random.Random(chance.random()), end), daemon=True)
            for player in self.players]
        for thread in threads:
            thread.start()
        all_died = []
        while time.monotonic() < end:
            window = time.monotonic()
            time.sleep(min(10, max(0, end - time.monotonic())))
            died = cluster.died()
            all_died += died
            lines = honest.between(begun, time.monotonic())
            recent = [line[1] for line in honest.between(window, time.monotonic())]
            print(f"{time.monotonic() - begun:5.0f} s  gateway {rss_mib(cluster.gateway):6.1f} MiB "
                  f"({rss_mib(cluster.gateway) - rss_before:+.1f})  p50 {quantile(recent, 0.5):4.0f} ms  "
                  f"p99 {quantile(recent, 0.99):5.0f} ms  "
                  f"wrong {sum(not line[2] for line in lines)} of {len(lines)}"
                  + (f"  died: {' '.join(died)}" if died else ""), flush=True)
        for thread in threads:
            thread.join(60)
        honest.wait(end)
        self.sampler.stop()
        mixed = honest.between(begun, end)
        self.report("alone", calm)
        self.report("mixed", mixed)
        if honest.wrong:
            print("wrong answers:", dict(honest.wrong))
        print(f"{len(self.played)} rows played")
        self.show_cpu((start, begun), (begun, end))
        self.show_memory()
        slowest_requests(self.played, mixed, self.sampler)
        slowest_rows(self.played, mixed)
        if arguments.json:
            with open(arguments.json, "w") as file:
                json.dump({"played": self.played, "requests": mixed, "calm": calm}, file)
        while not self.faults.empty():
            print("harness:", self.faults.get())
        calm_p99 = quantile([line[1] for line in calm], 0.99)
        mixed_p99 = quantile([line[1] for line in mixed], 0.99)
        good = (bool(mixed) and all(line[2] for line in mixed) and mixed_p99 <= 2 * calm_p99
                and not all_died)
        print(f"p99 ratio {mixed_p99 / calm_p99 if calm_p99 else 0:.2f}: {'ok' if good else 'failed'}")
        return 0 if good else 1

    @staticmethod
    def report(name, lines):
        times = [line[1] for line in lines]
        print(f"{name}: {len(lines)} requests, right "
              f"{100 * statistics.mean(line[2] for line in lines) if lines else 0:.3f} %, "
              f"p50 {quantile(times, 0.5):.0f} ms, p90 {quantile(times, 0.9):.0f} ms, "
              f"p99 {quantile(times, 0.99):.0f} ms, slowest {max(times, default=0):.0f} ms", flush=True)

    def stop(self):
        if self.sampler:
            self.sampler.stop()
        self.honest.stop()
        for player in self.players:
            player.stop()
        for host in self.hosts + (self.list_hosts or []):
            host.stop()
        self.cluster.stop()


def soak(arguments, rows):
    run = Soak(arguments, rows)
    try:
        return run.run()
    finally:
        run.stop()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, help="folder of the executables")
    parser.add_argument("--rows", default="", help="regular expression of the rows to play")
    parser.add_argument("--json", help="file for the results")
    parser.add_argument("--list", action="store_true", help="list the rows and exit")
    parser.add_argument("--soak", type=float, help="minutes of the mixed run")
    parser.add_argument("--open", action="store_true", help="soak a cluster that requires no keys")
    parser.add_argument("--pace", type=int, default=0, metavar="MS",
                        help="soak with a good host that sends a token every MS milliseconds")
    parser.add_argument("--seed", type=int, default=1, help="seed of the order of rows")
    parser.add_argument("--same-address", action="store_true",
                        help="hostile clients use the address of the honest ones, as behind a proxy")
    arguments = parser.parse_args()
    if not arguments.list and not arguments.same_address and not enter_network():
        print("hostile: unshare or ip is missing or not allowed here, so hostile clients use the "
              "address of the honest ones", file=sys.stderr)
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
