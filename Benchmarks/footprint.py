#!/usr/bin/env python3
"""Compares the footprint of two sets of executables (Linux).

    Benchmarks/footprint.py --faulty-host PATH [--times 3] BEFORE_BIN AFTER_BIN

Prints, for each folder: bytes on disk of the programs of a cluster, where links count once; the
memory of all processes of `tutti up` at rest (PSS, private dirty pages), 10 s after the cluster is
ready; and the time from the start to the gateway's readiness. Memory and time are medians.
"""

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request

from ports import free_ports

ROLES = ("research", "reasoning", "creative", "code", "critic", "coordinator")
PROGRAMS = ["tutti"] + [
    f"tutti-{name}" for name in ("gateway", "registry", "planner", "dispatcher", "monitor")
] + [f"tutti-agent-{role}" for role in ROLES]
REST_SECONDS = 10
START_SECONDS = 120


def disk_bytes(folder):
    """Bytes of the files that the programs lead to."""
    files = {}
    for name in PROGRAMS:
        status = os.stat(os.path.join(folder, name))
        files[status.st_dev, status.st_ino] = status.st_size
    return sum(files.values())


def is_ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


def tree(root):
    """The process and all that descend from it, with the names by which they were called."""
    parents, names = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                parents[int(pid)] = int(file.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                first = file.read().split(b"\0")[0].decode(errors="replace")
            names[int(pid)] = os.path.basename(first)
        except (OSError, ValueError):
            continue
    found, queue = {}, [root]
    while queue:
        pid = queue.pop()
        if pid in names:
            found[pid] = names[pid]
        queue += [child for child, parent in parents.items() if parent == pid]
    return found


def memory(pid):
    """PSS and private dirty KiB of a process."""
    values = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            words = line.split()
            if words[0] in ("Pss:", "Private_Dirty:"):
                values[words[0]] = int(words[1])
    return values["Pss:"], values["Private_Dirty:"]


def measure(folder, host):
    """Seconds until ready, and by program its PSS and private dirty KiB."""
    data = tempfile.mkdtemp(prefix="tutti-foot-")
    port = free_ports(3)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TUTTI_")}
    with open(data + "/log", "w+") as log:
        began = time.monotonic()
        # The cluster ends when its standard input closes, which happens when this process ends.
        process = subprocess.Popen(
            [os.path.join(folder, "tutti"), "up", "--port", str(port), "--host", host]
            + ["--data-dir", data + "/data"],
            stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
            env={**environment, "TUTTI_LIFELINE_FD": "0"})
        try:
            while not (os.path.exists(data + "/data/cluster.json") and is_ready(port)):
                if process.poll() is not None or time.monotonic() - began > START_SECONDS:
                    log.seek(0)
                    raise SystemExit(f"footprint: {folder} did not start:\n{log.read()[-2000:]}")
                time.sleep(0.01)
            ready = time.monotonic() - began
            time.sleep(REST_SECONDS)
            processes = tree(process.pid)
            if len(processes) != len(PROGRAMS):
                raise SystemExit(f"footprint: the processes are {sorted(processes.values())}")
            return ready, {name: memory(pid) for pid, name in processes.items()}
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
            process.stdin.close()
            shutil.rmtree(data, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--faulty-host", required=True)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("before")
    parser.add_argument("after")
    options = parser.parse_args()
    folders = [os.path.abspath(options.before), os.path.abspath(options.after)]
    host = subprocess.Popen([options.faulty_host], stdout=subprocess.PIPE, text=True)
    try:
        url = host.stdout.readline().strip()
        runs = [[], []]
        # The folders take turns, so that a change of the machine's load meets both.
        for _ in range(max(1, options.times)):
            for index, folder in enumerate(folders):
                runs[index].append(measure(folder, url))
    finally:
        host.terminate()
        host.wait()

    def row(title, before, after, form):
        ratio = f"{after / before:.2f}" if before else "-"
        print(f"{title:34}{form(before):>12}{form(after):>12}{ratio:>8}")

    def mib(kib):
        return f"{kib / 1024:.1f}"

    def middle(index, value):
        return statistics.median(value(run) for run in runs[index])

    print(f"{'':34}{'before':>12}{'after':>12}{'ratio':>8}")
    row("executables on disk, MiB", *[disk_bytes(folder) / 1024 for folder in folders], mib)
    row("PSS of all processes, MiB",
        *[middle(i, lambda run: sum(pss for pss, _ in run[1].values())) for i in (0, 1)], mib)
    row("private dirty of all, MiB",
        *[middle(i, lambda run: sum(dirty for _, dirty in run[1].values())) for i in (0, 1)], mib)
    row("time to ready, s", *[middle(i, lambda run: run[0]) for i in (0, 1)], lambda s: f"{s:.2f}")
    for name in PROGRAMS:
        row(f"PSS of {name}, MiB",
            *[middle(i, lambda run: run[1][name][0]) for i in (0, 1)], mib)


if __name__ == "__main__":
    main()
