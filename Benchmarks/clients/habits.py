"""Habits of real hosts, played by scripted hosts, with the kind of fault that each reveals.

    python habits.py                 prints {"NAME": "URL", ...} and serves until its input ends
    python habits.py --list          prints the habits

Each habit listens on its own port and lists one model with the habit's name.
"""

import asyncio
import json
import sys

# Each module declares its habits on import; the tables keep this order.
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
    # The pipe closes when its owner ends, for any reason.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        for one in HABITS.values():
            print(f"{one.kind:4} {one.name:22} {one.what}")
    else:
        asyncio.run(serve())
