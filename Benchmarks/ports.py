"""Free ports of the loopback address, for clusters that benchmarks and scripts start.

    ports.py COUNT        prints the first of COUNT consecutive free ports
"""

import socket
import sys


def free_ports(count=1):
    """Returns the first of `count` consecutive free ports."""
    while True:
        sockets = []
        try:
            for offset in range(count):
                listener = socket.socket()
                sockets.append(listener)
                listener.bind(("127.0.0.1", sockets[0].getsockname()[1] + offset if offset else 0))
            return sockets[0].getsockname()[1]
        except (OSError, OverflowError):
            continue
        finally:
            for listener in sockets:
                listener.close()


if __name__ == "__main__":
    print(free_ports(int(sys.argv[1])))
