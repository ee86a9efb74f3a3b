#!/usr/bin/env python3
"""Compares the fast path with the bare backend, in one run on one machine.

An nginx that returns a fixed completion is the instant backend. wrk sends requests to
it directly, then through `tutti up --host`, with 1 and with 32 connections. Processor time is read
from /proc: the gateway's, and with keys also that of all processes of the cluster.
Needs wrk and nginx (Debian packages wrk and nginx-light).

    python3 Benchmarks/fast_path.py BIN_DIR [SECONDS]
    python3 Benchmarks/fast_path.py BIN_DIR SECONDS OTHER_BIN_DIR [ROUNDS]
    python3 Benchmarks/fast_path.py BIN_DIR SECONDS keys [ROUNDS]

The second form runs two builds at the same time, measures them in turn and prints the ratio of
their medians, so that other load on the machine affects both equally. The third form compares one
build with keys, budget, price and ledger to the same build without keys, process by process. Work
that follows the answers, such as settlements, is awaited and counted.
"""
import json, os, re, shutil, statistics, subprocess, sys, tempfile, time, urllib.request

from ports import free_ports

BIN, SECONDS = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10
OTHER = sys.argv[3] if len(sys.argv) > 3 else None
KEYS = OTHER == "keys"
ROUNDS = int(sys.argv[4]) if len(sys.argv) > 4 else 10
COMPLETION = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "instant",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."},
                 "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}})
REQUEST = json.dumps({"model": "instant", "messages": [{"role": "user", "content": "Hi"}]})


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wrk(url, connections, script):
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", script, url],
                         capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    count = int(re.search(r"(\d+) requests in", out)[1])
    p50, p99 = (to_us(re.search(rf"{p}%\s+([\d.]+)(us|ms|s)", out)) for p in (50, 99))
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    return {"rate": rate, "count": count, "p50": p50, "p99": p99, "errors": int(errors[1]) if errors else 0}


def to_us(match):
    return float(match[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[match[2]]


def main():
    for tool in ("wrk", "nginx"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin"):
            print(f"fast path: {tool} is missing (apt-get install wrk nginx-light); not measured")
            return
    directory = tempfile.mkdtemp()
    backend, port = free_ports(), free_ports(3)
    conf, script = f"{directory}/nginx.conf", f"{directory}/post.lua"
    models = json.dumps({"object": "list", "data": [{"id": "instant", "object": "model"}]})
    open(conf, "w").write(f"""
daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  keepalive_requests 100000000;
  server {{ listen 127.0.0.1:{backend};
    location = /v1/models {{ default_type application/json; return 200 '{models}'; }}
    location = /v1/chat/completions {{ default_type application/json; return 200 '{COMPLETION}'; }} }} }}""")
    open(script, "w").write("wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\n"
                            f"wrk.body = [[{REQUEST}]]\n")
    nginx = subprocess.Popen([shutil.which("nginx", path="/usr/sbin:" + os.environ["PATH"]), "-c", conf, "-p", directory])
    clusters = []
    try:
        bare = f"http://127.0.0.1:{backend}/v1/chat/completions"
        for number, binaries in enumerate([BIN, BIN] if KEYS else [BIN] + ([OTHER] if OTHER else [])):
            clusters.append(Cluster(binaries, f"{directory}/{number}", backend, script))
        for cluster in clusters:
            cluster.wait_until_ready()
        if KEYS:
            clusters[0].require_keys()
        for cluster in clusters:
            cluster.ask(8)  # warm
        if OTHER:
            compare(clusters)
        else:
            measure(clusters[0], bare, script)
    finally:
        for cluster in clusters: cluster.stop()
        nginx.terminate(); nginx.wait(10)
        shutil.rmtree(directory, ignore_errors=True)


class Cluster:
    def __init__(self, binaries, directory, backend, script):
        os.mkdir(directory)
        self.script = script
        self.binaries, self.directory, port = binaries, directory, free_ports(3)
        self.url = f"http://127.0.0.1:{port}/v1/chat/completions"
        self.admin_url = f"http://127.0.0.1:{port + 1}/admin/v1"
        self.process = subprocess.Popen(
            [f"{binaries}/tutti", "up", "--port", str(port), "--data-dir", f"{directory}/data",
             "--host", f"http://127.0.0.1:{backend}"],
            stdout=subprocess.DEVNULL, stderr=open(f"{directory}/up.log", "w"))

    def wait_until_ready(self):
        for _ in range(120):
            if os.path.exists(f"{self.directory}/data/cluster.json"): break
            if self.process.poll() is not None: sys.exit(open(f"{self.directory}/up.log").read())
            time.sleep(0.5)
        self.processes = dict(children(self.process.pid))
        self.gateway = next(p for p, name in self.processes.items() if name == "gateway")

    def require_keys(self):
        """Makes a key with limits, a budget and a price, and sends it from now on."""
        key = self.admin("/keys", {"name": "bench", "account": "bench", "limits": {
            "requests_per_minute": 10**9, "tokens_per_day": 10**12}})["key"]
        self.admin("/organisations", {"id": "bench", "name": "Bench", "prepaid": False,
                                      "budgets": [{"amount": "1000000", "period": "year"}]})
        self.admin("/prices", {"model": "instant", "input": "1", "cached_input": "1", "output": "2"})
        with open(self.script) as file: text = file.read()
        self.script = f"{self.directory}/keyed.lua"
        with open(self.script, "w") as file:
            file.write(text + f"wrk.headers['Authorization'] = 'Bearer {key}'\n")
        time.sleep(2)  # the price comes into force a second after it was made

    def admin(self, path, body):
        with open(f"{self.directory}/data/admin-token") as file: token = file.read().strip()
        request = urllib.request.Request(self.admin_url + path, json.dumps(body).encode(), {
            "content-type": "application/json", "authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request) as answer: return json.load(answer)

    def ask(self, connections):
        """Returns wrk's results and the gateway's processor time per request in microseconds."""
        before = cpu_seconds(self.gateway)
        result = wrk(self.url, connections, self.script)
        return result, (cpu_seconds(self.gateway) - before) / max(1, result["count"]) * 1e6

    def ask_and_settle(self, connections):
        """Returns wrk's results and the processor time of each process per request in microseconds."""
        before = {pid: cpu_seconds(pid) for pid in self.processes}
        result = wrk(self.url, connections, self.script)
        time.sleep(1)
        costs = {}
        for pid, name in self.processes.items():
            used = (cpu_seconds(pid) - before[pid]) / max(1, result["count"]) * 1e6
            costs[name] = costs.get(name, 0) + used
        return result, costs

    def stop(self):
        self.process.terminate(); self.process.wait(60)


def measure(cluster, bare, script):
    print(f"\nFast path, instant backend, non-streaming, {SECONDS} s each")
    print(f"{'':10}{'conns':>6}{'p50 us':>9}{'p99 us':>9}{'req/s':>10}{'CPU us/req':>12}{'errors':>8}")
    ratios = []
    for connections in (1, 32):
        direct = wrk(bare, connections, script)
        via, cpu = cluster.ask(connections)
        row("bare", connections, direct, None)
        row("tutti", connections, via, cpu)
        ratios.append(f"{connections} conns: p50 x{via['p50'] / direct['p50']:.1f}, req/s /{direct['rate'] / via['rate']:.1f}")
    print("ratio to the bare backend: " + "; ".join(ratios))


def compare(clusters):
    print(f"\nFast path, instant backend, non-streaming, {ROUNDS} rounds of {SECONDS} s in turn")
    for connections in (1, 32):
        rounds = [[], []]
        for _ in range(ROUNDS):
            for cluster, costs in zip(clusters, rounds):
                result, cost = cluster.ask_and_settle(connections)
                if result["errors"]: sys.exit(f"{cluster.binaries}: {result['errors']} requests failed")
                costs.append(cost)
        report(f"{connections:>3} connections, gateway", rounds, lambda cost: cost["gateway"])
        if KEYS:
            report(f"{connections:>3} connections, all processes", rounds, lambda cost: sum(cost.values()))
            for name in ("gateway", "registry", "monitor"):
                on, off = (statistics.median(cost[name] for cost in costs) for costs in rounds)
                print(f"      {name}: {on:.0f} and {off:.0f} CPU us a request")


def report(title, rounds, value):
    first, second = ([value(cost) for cost in costs] for costs in rounds)
    pairs = sorted(a / b for a, b in zip(first, second))
    print(f"{title}: {statistics.median(first):.0f} and {statistics.median(second):.0f} CPU us a request; "
          f"ratio {statistics.median(first) / statistics.median(second):.3f} "
          f"(pairs {pairs[0]:.2f} to {pairs[-1]:.2f})")


def children(parent):
    """Process ids and short names of a cluster's processes."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = open(f"/proc/{pid}/stat").read()
            if int(stat.rsplit(")", 1)[1].split()[1]) == parent:
                path = open(f"/proc/{pid}/cmdline").read().split("\0")[0]
                yield int(pid), os.path.basename(path).removeprefix("tutti-")
        except OSError:
            continue


def row(name, connections, r, cpu):
    print(f"{name:10}{connections:>6}{r['p50']:>9.0f}{r['p99']:>9.0f}{r['rate']:>10.0f}"
          f"{'-' if cpu is None else f'{cpu:.0f}':>12}{r['errors']:>8}")


main()
