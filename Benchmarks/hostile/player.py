"""Plays rows in a process of its own, with only the processor time that nothing else wants.

    player.py                  reads one order per line, a JSON object, and prints one result each

An order has the members `kind` (client, account or host), `row`, `port`, `seconds` and, for rows of
accounts, `keys`. A result has `words` (a broken limit, or null) and `statuses`.
"""

import json
import os
import subprocess
import sys
import threading

import accounts
import clients
from cluster import outsider
from strangers import strangers_address


def play(order):
    port, seconds = order["port"], order["seconds"]
    clients.STATUSES.clear()
    target = accounts.Target(port, order["keys"])
    clients.AUTHORISATION = "" if order["kind"] == "account" else target.bearer("flood")
    words = None
    if order["kind"] == "host":
        clients.of_host(port, order["row"])
    elif order["kind"] == "account":
        words = accounts.ROWS[order["row"]["name"]](target, seconds)
    else:
        words = clients.ROWS[order["row"]["name"]](port, seconds)
    return {"words": words, "statuses": list(clients.STATUSES)}


class Player:
    """A process that plays rows, one at a time."""

    def __init__(self, number=0):
        self.environment = {**os.environ, "HOSTILE_SOURCE": strangers_address(number)}
        self.lock = threading.Lock()
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=self.environment, preexec_fn=outsider)

    def play(self, row, cluster, seconds):
        """Plays a row. Returns the words of a broken limit, and the statuses of the answers."""
        order = {"kind": row["kind"], "row": row, "port": cluster.port, "seconds": seconds,
                 "keys": cluster.keys}
        with self.lock:
            try:
                self.process.stdin.write(json.dumps(order) + "\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if not line:
                self.stop()
                self.start()
                raise RuntimeError(f"the player of {row['name']} ended")
        result = json.loads(line)
        return result["words"], result["statuses"]

    def stop(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def main():
    for line in sys.stdin:
        try:
            result = play(json.loads(line))
        except Exception as error:  # the row has a bug; the harness reports it
            result = {"words": f"the row failed: {error!r}", "statuses": []}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
