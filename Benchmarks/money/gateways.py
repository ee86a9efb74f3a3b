#!/usr/bin/env python3
"""Loads several gateways that share one account, and measures how money and keys keep up.

    gateways.py --bin DIR [--gateways 4] [--seconds 10] [--repeats 20] [--json FILE]

1. Admission: each gateway serves one client after the other. Time to the first byte with a model
   that has a price and budgets, and with a free one, in turn; an instant host answers.
2. Load: settlements per second of the account; requests refused although the budget pays them; and
   whether the ledger has the cost that the clients received.
3. Tight budget: 200 requests at once at all gateways, on a budget for 20.
4. Revocation: time from the answer of `DELETE /admin/v1/keys/ID` until every gateway refuses the
   key, and the same for `disable` and `enable`.

The exit code is 1 if a request was refused wrongly, if money differs, or if a revocation took longer
than a second.
"""

import argparse
import collections
import json
import multiprocessing
import socket
import subprocess
import sys
import threading
import time

from money_cluster import MICRO, MoneyCluster, micro

PAID, FREE, LIMITED = "paid", "free", "limited"
ANSWER = "one two three four five six seven eight nine ten"
# Credits per million tokens, which are micro-credits per token.
INPUT, OUTPUT = 1, 2
SLOWEST_REVOCATION = 1.0
AT_ONCE, AFFORDABLE = 200, 20


class Connection:
    """A keep-alive connection to one gateway."""

    def __init__(self, port):
        self.port = port
        self.socket = self.reader = None

    def close(self):
        if self.socket:
            self.reader.close()
            self.socket.close()
        self.socket = self.reader = None

    def ask(self, key, model, most=16):
        """Returns status, seconds to the first byte, and the body."""
        data = json.dumps({"model": model, "max_tokens": most,
                           "messages": [{"role": "user", "content": "Hi"}]}).encode()
        return self.send(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            b"content-type: application/json\r\nauthorization: Bearer %s\r\n"
            b"content-length: %d\r\n\r\n" % (key.encode(), len(data)) + data)

    def models(self, key):
        """Returns the status of a request that only needs a valid key."""
        return self.send(b"GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n"
                         b"authorization: Bearer %s\r\n\r\n" % key.encode())[0]

    def send(self, message):
        if not self.socket:
            self.socket = socket.create_connection(("127.0.0.1", self.port), 60)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.reader = self.socket.makefile("rb")
        begin = time.perf_counter()
        self.socket.sendall(message)
        line = self.reader.readline()
        seconds = time.perf_counter() - begin
        if not line:
            self.close()
            raise OSError("the gateway closed the connection")
        length, closes = 0, False
        while (header := self.reader.readline()) not in (b"\r\n", b""):
            name, _, value = header.lower().partition(b":")
            if name == b"content-length":
                length = int(value)
            closes |= name == b"connection" and value.strip() == b"close"
        body = self.reader.read(length)
        if closes:
            self.close()
        return int(line.split()[1]), seconds, body


def cost(body):
    usage = json.loads(body)["usage"]
    return usage["prompt_tokens"] * INPUT + usage["completion_tokens"] * OUTPUT


def client(port, key, model, seconds, results):
    """Sends one request after the other, in a process of its own."""
    connection, count, total, times, refused = Connection(port), 0, 0, [], collections.Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status, first, body = connection.ask(key, model)
        if status == 200:
            count += 1
            total += cost(body)
            times.append(first)
        else:
            refused[f"{status} {body[:120].decode(errors='replace')}"] += 1
    results.put((count, total, times, refused))


def load(ports, key, model, seconds):
    """Runs one client process per gateway, and returns the sums."""
    results = multiprocessing.Queue()
    clients = [multiprocessing.Process(target=client, args=(p, key, model, seconds, results))
               for p in ports]
    for process in clients:
        process.start()
    count, total, times, refused = 0, 0, [], collections.Counter()
    for _ in clients:
        one = results.get()
        count, total, times = count + one[0], total + one[1], times + one[2]
        refused += one[3]
    for process in clients:
        process.join()
    return count, total, sorted(times), refused


def percentile(times, share):
    return times[min(len(times) - 1, int(len(times) * share))] if times else float("nan")


def charged(cluster, account):
    """Micro-credits and number of settlements that the account's organisation paid."""
    notes = [n for n in cluster.settlements() if n.get("account") == account]
    return sum(micro(n["charged"]) for n in notes), sum(micro(n["to_margin"]) for n in notes), len(notes)


class Measurement:
    def __init__(self, options):
        self.options = options
        self.problems = []
        self.results = {}
        self.host = subprocess.Popen(
            [f"{options.bin}/tutti-faulty-host", "--answer", ANSWER, "--model", PAID,
             "--model", FREE, "--model", LIMITED],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        url = self.host.stdout.readline().strip()
        self.cluster = MoneyCluster(options.bin, [url])
        self.ports = [self.cluster.port]
        self.ports += [
            self.cluster.add_gateway(f"gateway-{n}") for n in range(2, options.gateways + 1)]

    def prepare(self):
        admin = self.cluster.admin
        admin("POST", "/organisations", {
            "id": "acme", "name": "Acme", "prepaid": True,
            "budgets": [{"amount": "1000000", "period": "year"}]})
        admin("POST", "/teams", {"id": "acme/team", "name": "Team",
                                 "budgets": [{"amount": "1000000", "period": "month"}]})
        admin("POST", "/transfers", {
            "kind": "credit", "organisation": "acme", "amount": "1000000"})
        admin("POST", "/prices", {"model": PAID, "input": str(INPUT), "output": str(OUTPUT)})
        admin("POST", "/prices", {"model": LIMITED, "input": "0", "output": str(OUTPUT)})
        key = admin("POST", "/keys", {"name": "load", "account": "acme/team"})["key"]
        time.sleep(2.5)  # prices are in force a second after they were made
        return key

    def admission(self, key):
        times = {PAID: [], FREE: []}
        connections = [Connection(port) for port in self.ports]
        for connection in connections:
            for model in times:
                connection.ask(key, model)
        end = time.monotonic() + self.options.seconds
        while time.monotonic() < end:
            for connection in connections:
                for model in times:
                    status, first, body = connection.ask(key, model)
                    if status != 200:
                        self.problems.append(f"admission: {status} {body[:200]}")
                        return
                    times[model].append(first * 1e3)
        print("| time to first byte, one request at a time | p50 ms | p99 ms | requests |\n"
              "|---|---|---|---|")
        for model, name in ((FREE, "without a price"), (PAID, "with price, budgets and balance")):
            found = sorted(times[model])
            self.results[f"admission {model}"] = [percentile(found, 0.5), percentile(found, 0.99)]
            print(f"| {name} | {percentile(found, 0.5):.2f} | {percentile(found, 0.99):.2f} |"
                  f" {len(found)} |")

    def load(self, key):
        before, _, settled = charged(self.cluster, "acme/team")
        begin = time.monotonic()
        count, total, times, refused = load(self.ports, key, PAID, self.options.seconds)
        seconds = time.monotonic() - begin
        time.sleep(3)
        after, margin, now = charged(self.cluster, "acme/team")
        spent = after - before
        print(f"\nLoad on {len(self.ports)} gateways for {seconds:.0f} s: {count} answers, "
              f"{(now - settled) / seconds:.0f} settlements per second, time to first byte p50 "
              f"{percentile(times, 0.5) * 1e3:.1f} ms, p99 {percentile(times, 0.99) * 1e3:.1f} ms, "
              f"refused {sum(refused.values())}.")
        print(f"Clients received answers for {total} micro-credits; the ledger has {spent} "
              f"(and {margin} charged to margin).")
        self.results["load"] = {
            "answers": count, "settlements_per_second": (now - settled) / seconds,
            "refused": sum(refused.values()), "received": total, "spent": spent}
        if refused:
            self.problems.append(f"load: refused {dict(refused)}")
        if spent != total or margin or now - settled != count:
            self.problems.append(
                f"load: {count} answers for {total}, {now - settled} settlements for {spent}")

    def tight(self):
        """Many requests at once on a budget that pays some of them."""
        admin = self.cluster.admin
        words = len(ANSWER.split())
        budget = AFFORDABLE * words * OUTPUT
        admin("POST", "/organisations", {
            "id": "tight", "name": "Tight", "prepaid": False,
            "budgets": [{"amount": f"{budget / MICRO:.6f}", "period": "year"}]})
        key = admin("POST", "/keys", {"name": "tight", "account": "tight"})["key"]
        time.sleep(1)
        outcomes = collections.Counter()
        lock = threading.Lock()

        def one(port):
            status, _, body = Connection(port).ask(key, LIMITED, most=words)
            name = json.loads(body)["error"]["code"] if status != 200 else "answered"
            with lock:
                outcomes[name] += 1

        threads = [threading.Thread(target=one, args=(self.ports[n % len(self.ports)],))
                   for n in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(2)
        spent, margin, _ = charged(self.cluster, "tight")
        print(f"\n{AT_ONCE} requests at once at {len(self.ports)} gateways, budget for {AFFORDABLE}: "
              f"{dict(outcomes)}; spent {spent} of {budget}.")
        self.results["tight"] = {**outcomes, "spent": spent, "budget": budget}
        if outcomes["answered"] != AFFORDABLE or spent != budget or margin:
            self.problems.append(f"tight budget: {dict(outcomes)}, spent {spent} of {budget}")

    # Keys

    def until(self, key, expected):
        """Starts to ask every gateway, and returns a function that returns when each gave the
        expected status for the first time and ever after."""
        times, stopped = {}, threading.Event()

        def watch(port):
            connection = Connection(port)
            while not stopped.is_set():
                try:
                    status = connection.models(key)
                except OSError:
                    continue
                now = time.perf_counter()
                if status == expected:
                    times.setdefault(port, now)
                else:
                    times.pop(port, None)
                time.sleep(0.002)
            connection.close()

        threads = [threading.Thread(target=watch, args=(port,)) for port in self.ports]
        for thread in threads:
            thread.start()

        def wait():
            deadline = time.monotonic() + 10
            while len(times) < len(self.ports) and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(0.2)
            stopped.set()
            for thread in threads:
                thread.join()
            return max(times.values()) if len(times) == len(self.ports) else None

        return wait

    def change_of_keys(self):
        found = {"revoke": [], "disable": [], "enable": []}
        for number in range(self.options.repeats):
            made = self.cluster.admin("POST", "/keys", {"name": f"key {number}"})
            id, key = made["id"], made["key"]
            for change, expected in (("disable", 401), ("enable", 200), ("revoke", 401)):
                wait = self.until(key, expected)
                time.sleep(0.1)
                if change == "revoke":
                    self.cluster.admin("DELETE", f"/keys/{id}")
                else:
                    self.cluster.admin("POST", f"/keys/{id}/{change}")
                answered = time.perf_counter()
                last = wait()
                found[change].append(float("inf") if last is None else last - answered)
        print(f"\n| after the admin's answer until every of {len(self.ports)} gateways obeys | median ms |"
              " maximum ms | repeats |\n|---|---|---|---|")
        for change, times in found.items():
            times.sort()
            # Negative: the last gateway obeyed before the admin had the answer.
            print(f"| {change} | {percentile(times, 0.5) * 1e3:.1f} | {times[-1] * 1e3:.1f} |"
                  f" {len(times)} |")
            self.results[change] = [percentile(times, 0.5), times[-1]]
            if times[-1] > SLOWEST_REVOCATION:
                self.problems.append(f"{change}: {times[-1]} s until every gateway obeyed")

    def run(self):
        key = self.prepare()
        self.admission(key)
        self.load(key)
        self.tight()
        self.change_of_keys()
        held = self.cluster.wait_for_holds(60)
        time.sleep(11)  # `verify` does not read the last 10 seconds
        proof = self.cluster.admin("GET", "/ledger/verify")
        print(f"\nHolds ended: {held is not None}. Ledger: {proof['transactions']} transactions, "
              f"{len(proof['differences'])} differences.")
        if held is None:
            self.problems.append(f"money is held: {self.cluster.holds()}")
        self.problems += [f"ledger verify: {text}" for text in proof["differences"]]

    def stop(self):
        self.cluster.stop()
        self.host.kill()
        self.host.wait()
        self.host.stdout.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--bin", required=True)
    parser.add_argument("--gateways", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json")
    options = parser.parse_args()
    measurement = Measurement(options)
    try:
        measurement.run()
    finally:
        measurement.stop()
    if options.json:
        with open(options.json, "w") as file:
            json.dump(measurement.results, file, indent=1)
    for problem in measurement.problems:
        print("DIFFERENCE: " + problem)
    sys.exit(1 if measurement.problems else 0)


main()
