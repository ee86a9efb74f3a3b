"""The habits of hosts in the wild, as scripted hosts, and the kinds of fault they stand for.

    python habits.py                 prints {"NAME": "URL", ...} and serves until its input ends
    python habits.py --list          prints the habits

Each habit answers on a port of its own and lists one model with the habit's name.
"""

import asyncio
import json
import sys

# Each declares its habits when it is imported; the tables keep this order.
import habits_of_streams  # noqa: F401
import habits_of_answers  # noqa: F401, I001
import habits_of_refusal  # noqa: F401
from habit import HABITS
from scripted_host import ScriptedHost


async def serve():
    urls = {}
    hosts = [ScriptedHost(one) for one in HABITS.values()]
    for host in hosts:
        urls[host.habit.name] = await host.start()
    print(json.dumps(urls), flush=True)
    # The owner's end of the pipe closes with it, however it ends.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        for one in HABITS.values():
            print(f"{one.kind:4} {one.name:22} {one.what}")
    else:
        asyncio.run(serve())
