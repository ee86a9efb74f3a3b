"""A cluster of real processes for the hostile harness, with its figures from /proc."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ports import free_ports  # noqa: E402

GOOD_MODEL = "good"
# Model of a second good host, for hostile clients that make a host work: in reality it is another
# machine, so it gets only processor time that no other process wants.
LARGE_MODEL = "large"
GOOD_ANSWER = "The quick brown fox jumps over the lazy dog."


def get_json(url, method="GET", body=None, token=None, timeout=10):
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        return json.load(reply)


def outsider():
    """Lowers the calling process to the processor time that no other process wants.

    Hostile hosts and clients are on other machines in reality. Here they share the processor with
    the cluster and its honest clients, whose delays would also count the outsiders' own work.
    """
    os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def stat(pid):
    """Returns the fields of /proc/PID/stat after the name, or None if the process has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields


def cpu_seconds(pid):
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def rss_mib(pid):
    fields = stat(pid)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20) if fields else 0.0


def program(pid):
    """Returns the name by which the executable was called. The executables of a distribution are
    links to one file, so /proc/PID/exe does not have it."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return os.path.basename(file.read().split(b"\0")[0].decode(errors="replace"))


def children(parent):
    """Returns the process ids of the children by executable name."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        fields = stat(name)
        if not fields or int(fields[1]) != parent:
            continue
        try:
            found[program(name)] = int(name)
        except OSError:
            continue
    return found


class FaultyHost:
    """A process of tutti-faulty-host. It plays the hostile row `row`, if given. `pace` is the time
    between two tokens of an answer, in milliseconds.

    A host that is an outsider gets only processor time that no other process wants.
    """

    def __init__(self, bin_dir, models, dialect="openai", row=None, second=False,
                 answer=GOOD_ANSWER, is_outsider=False, pace=0):
        faults = {}
        if row:
            faults["hostile"] = row
        if second:
            faults["hostile_second"] = True
        command = [
            f"{bin_dir}/tutti-faulty-host", "--dialect", dialect, "--answer", answer,
            "--faults", json.dumps(faults), "--inter-token-ms", str(pace),
        ]
        for model in models:
            command += ["--model", model]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            preexec_fn=outsider if is_outsider else None)
        self.url = self.process.stdout.readline().strip()
        if not self.url.startswith("http://127.0.0.1:"):
            raise SystemExit("hostile: tutti-faulty-host did not start")

    def rows(self):
        return get_json(self.url + "/hostile")

    def counts(self):
        """Returns the bytes sent by a hostile host, and the requests for an answer."""
        telling = ("/v1/models", "/api/tags", "/api/version")
        try:
            counts = get_json(self.url + "/counts", timeout=30)
        except OSError:
            return 0, 0
        asked = sum(n for path, n in counts["requests"].items() if path not in telling)
        return counts["hostile_bytes"], asked

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Cluster:
    """`tutti up` with one good host. With keys, the honest clients and the hostile ones have some."""

    def __init__(self, bin_dir, with_keys=False, pace=0):
        self.bin_dir = bin_dir
        # Keys by name; empty if the cluster requires none.
        self.keys = {}
        self.directory = tempfile.mkdtemp(prefix="tutti-hostile-")
        self.good = FaultyHost(bin_dir, [GOOD_MODEL], pace=pace)
        self.large = FaultyHost(bin_dir, [LARGE_MODEL], is_outsider=True)
        self.port = free_ports(3)
        self.log = open(self.directory + "/log", "w+")
        # The cluster ends when its standard input closes, which happens when this process ends.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TUTTI_")}
        environment["TUTTI_LIFELINE_FD"] = "0"
        self.process = subprocess.Popen(
            [f"{bin_dir}/tutti", "up", "--port", str(self.port), "--data-dir", self.data,
             "--host", self.good.url, "--host", self.large.url],
            stdin=subprocess.PIPE, stdout=self.log, stderr=subprocess.STDOUT, env=environment)
        deadline = time.monotonic() + 120
        while not os.path.exists(self.data + "/cluster.json"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise SystemExit("hostile: the cluster did not start:\n" + self.log.read()[-2000:])
            time.sleep(0.05)
        self.wait_for_model(GOOD_MODEL, 30)
        self.wait_for_model(LARGE_MODEL, 30)
        self.services = children(self.process.pid)
        self.added = 0
        if with_keys:
            self.make_keys()

    def make_keys(self):
        """Makes prices, a small budget, and keys for each kind of client."""
        for model in (GOOD_MODEL, LARGE_MODEL):
            self.admin("POST", "/prices", {"model": model, "input": "1", "output": "2"})
        budget = [{"amount": "0.001", "period": "year"}]
        for name, budgets in (("honest", []), ("poor", budget), ("flood", [])):
            self.admin("POST", "/organisations", {"id": name, "name": name, "budgets": budgets})
        client = ["chat", "embeddings", "plans"]
        for name, account, scopes, limits in (
                ("honest", "honest", client, {}), ("poor", "poor", client, {}),
                ("flood", "flood", client, {}),
                ("limited", "flood", client, {"requests_per_minute": 10}),
                ("reader", "flood", ["admin:read"], {}), ("scraper", "flood", ["metrics"], {})):
            self.keys[name] = self.admin("POST", "/keys", {
                "name": name, "account": account, "scopes": scopes, "limits": limits})["key"]
        # Prices are in force a second after their request.
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            time.sleep(0.2)
            if self.is_served():
                return
        raise SystemExit("hostile: no key works")

    def is_served(self):
        body = {"model": GOOD_MODEL, "messages": [{"role": "user", "content": "hi"}]}
        try:
            answer = get_json(
                f"http://127.0.0.1:{self.port}/v1/chat/completions", "POST", body,
                self.keys["honest"])
            return "choices" in answer
        except OSError:
            return False

    @property
    def monitor(self):
        return self.port + 2

    @property
    def data(self):
        return self.directory + "/data"

    @property
    def gateway(self):
        return self.services.get("tutti-gateway", 0)

    def admin(self, method, path, body=None, timeout=15):
        with open(self.data + "/admin-token") as file:
            token = file.read().strip()
        return get_json(
            f"http://127.0.0.1:{self.port + 1}/admin/v1{path}", method, body, token, timeout)

    def add(self, host):
        """Registers a host. Ignores the result of the probe."""
        return self.add_url(host.url)

    def add_url(self, url):
        self.added += 1
        name = f"h{self.added}"
        try:
            self.admin("POST", "/hosts?wait_ms=4000", {"url": url, "id": name})
        except OSError:
            pass  # the registry is harmed: the verdict reports it
        return name

    def remove(self, name):
        try:
            self.admin("DELETE", f"/hosts/{name}")
        except OSError:
            pass

    def wait_for_model(self, model, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                listing = get_json(
                    f"http://127.0.0.1:{self.port}/v1/models", token=self.keys.get("honest"),
                    timeout=5)
                if any(entry["id"] == model for entry in listing["data"]):
                    return True
            except (OSError, ValueError):
                pass
            time.sleep(0.05)
        return False

    def died(self):
        """Returns the services that ended since the last call, and watches their successors."""
        now = children(self.process.pid)
        gone = [name for name, pid in self.services.items() if now.get(name) != pid]
        self.services.update(now)
        return [re.sub("^tutti-", "", name) for name in gone]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        # A service that does not end with its cluster would disturb the next one.
        for name, pid in self.services.items():
            try:
                if program(pid) == name:
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.stdin.close()
        self.log.close()
        self.good.stop()
        self.large.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class TCPCluster(Cluster):
    """A registry and a gateway on a tcp bus, each started separately."""

    def __init__(self, bin_dir):
        self.bin_dir = bin_dir
        self.directory = tempfile.mkdtemp(prefix="tutti-hostile-")
        self.good = FaultyHost(bin_dir, [GOOD_MODEL])
        self.port = free_ports(2)
        self.keys = {}
        # A publisher, if there is one, listens on the port above its bus.
        self.bus_port = free_ports(4)
        self.added = 0
        self.log = open(self.directory + "/log", "w+")
        file = self.directory + "/tutti.yaml"
        with open(file, "w") as text:
            text.write(
                f"cluster:\n  bus: tcp\n  bus_registry: 127.0.0.1:{self.bus_port}\n"
                f"  cluster_key: {secrets.token_hex(32)}\n  data_dir: {self.data}\n"
                f"registry:\n  port: {self.port + 1}\n  hosts: [\"{self.good.url}\"]\n"
                f"  bus_listen: 127.0.0.1:{self.bus_port}\n"
                f"  bus_advertise: 127.0.0.1:{self.bus_port}\n"
                f"gateway:\n  port: {self.port}\n  bus_listen: 127.0.0.1:{self.bus_port + 2}\n"
                f"  bus_advertise: 127.0.0.1:{self.bus_port + 2}\n")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TUTTI_")}
        self.processes = {
            name: subprocess.Popen(
                [f"{bin_dir}/{name}", "--config", file], stdin=subprocess.DEVNULL,
                stdout=self.log, stderr=subprocess.STDOUT, env=environment)
            for name in ("tutti-registry", "tutti-gateway")}
        self.services = {name: process.pid for name, process in self.processes.items()}
        if not self.wait_for_model(GOOD_MODEL, 60):
            self.log.seek(0)
            text = self.log.read()[-2000:]
            self.stop()
            raise SystemExit("hostile: the tcp cluster did not start:\n" + text)

    def died(self):
        gone = [name for name, process in self.processes.items() if process.poll() is not None]
        return [re.sub("^tutti-", "", name) for name in gone]

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.log.close()
        self.good.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Gauge:
    """Peak memory and processor time of all services, sampled in a thread."""

    def __init__(self, cluster):
        self.pids = dict(cluster.services)
        self.first = {name: rss_mib(pid) for name, pid in self.pids.items()}
        self.most = dict(self.first)
        self.cpu_before = {name: cpu_seconds(pid) for name, pid in self.pids.items()}
        self.cpu = dict.fromkeys(self.pids, 0.0)
        self.running = True
        self.thread = threading.Thread(target=self.sample, daemon=True)
        self.thread.start()

    def take(self):
        for name, pid in self.pids.items():
            self.most[name] = max(self.most[name], rss_mib(pid))
            self.cpu[name] = max(self.cpu[name], cpu_seconds(pid) - self.cpu_before[name])

    def sample(self):
        while self.running:
            self.take()
            time.sleep(0.05)

    def stop(self):
        """Returns growth in MiB and processor seconds, by service without `tutti-`."""
        self.running = False
        self.thread.join()
        self.take()
        short = {name: re.sub("^tutti-", "", name) for name in self.pids}
        return ({short[name]: self.most[name] - self.first[name] for name in self.pids},
                {short[name]: self.cpu[name] for name in self.pids})


class Sampler:
    """Records the processor time of processes ten times a second, and their memory each minute.

    For the gateway it also records for how long its threads were ready and waited for a processor.
    """

    INTERVAL = 0.1

    def __init__(self, pids, gateway):
        self.pids = pids
        self.gateway = gateway
        # (time, {name: processor seconds}, seconds that the gateway waited)
        self.samples = []
        # (time, {name: MiB})
        self.memory = []
        self.running = True
        self.thread = threading.Thread(target=self.sample, daemon=True)
        self.thread.start()

    @staticmethod
    def waited(pid):
        total = 0
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                    total += int(file.read().split()[1])
        except (OSError, IndexError, ValueError):
            pass
        return total / 1e9

    def sample(self):
        while self.running:
            now = time.monotonic()
            times = {name: cpu_seconds(pid) for name, pid in self.pids.items()}
            self.samples.append((now, times, self.waited(self.gateway)))
            if not self.memory or now - self.memory[-1][0] >= 60:
                self.memory.append((now, {name: rss_mib(pid) for name, pid in self.pids.items()}))
            time.sleep(self.INTERVAL)

    def between(self, start, end):
        """Returns processor seconds by name, and seconds that the gateway waited for a processor."""
        before = [sample for sample in self.samples if sample[0] <= start]
        after = [sample for sample in self.samples if sample[0] >= end]
        first = before[-1] if before else self.samples[0]
        last = after[0] if after else self.samples[-1]
        return ({name: last[1][name] - first[1][name] for name in last[1]},
                last[2] - first[2], last[0] - first[0])

    def stop(self):
        self.running = False
        self.thread.join()
