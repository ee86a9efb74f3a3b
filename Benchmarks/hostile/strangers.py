"""Addresses of hostile clients, in a network namespace of the harness.

The namespace has only a loopback interface. Addresses of NETWORK are routed to it, so that a client
can send from one of them while the cluster listens on 127.0.0.1.
"""

import os
import subprocess
import sys

NETWORK = "10.77.0"
MARK = "TUTTI_HOSTILE_NAMESPACE"
UNSHARE = ["unshare", "--user", "--net", "--map-root-user"]
PREPARE = f"ip link set lo up && ip route add local {NETWORK}.0/24 dev lo"


def strangers_address(number):
    """The address of a player. Empty outside the namespace: the address of the honest clients."""
    return f"{NETWORK}.{number + 1}" if os.environ.get(MARK) else ""


def enter_network():
    """Starts this program again in a namespace. Returns False if that is not possible here."""
    if os.environ.get(MARK):
        return True
    try:
        if subprocess.run([*UNSHARE, "sh", "-c", PREPARE], capture_output=True).returncode:
            return False
    except OSError:
        return False
    os.environ[MARK] = "1"
    os.execvp(UNSHARE[0], [
        *UNSHARE, "sh", "-c", PREPARE + ' && exec "$0" "$@"', sys.executable, *sys.argv])
