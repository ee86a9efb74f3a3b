"""Runs the commands of the manual's pages in order. Run by ManualCommandTests.swift:

    python manual_commands.py EXECUTABLES MANUAL

EXECUTABLES is the directory of `tutti` and the services, MANUAL the directory of the pages. Exit
status 0 if every command did what its page states; otherwise standard error has a paragraph for
each mistake.

The pages are read in the order in which README.md links to them. They share one home directory and
one cluster: the first page starts it, and the last one removes it. A page is one bash, so its
variables last to its end. The names in HOSTS are replaced by the URLs of faulty hosts, and the
ports of a cluster by free ones.

A command is a line of a ```console block, together with the lines that it continues on with a
backslash. These lines concern the command before them:

    # prints: TEXT    its output has TEXT; "…" stands for any text
    # exits: STATUS   its exit status, if it is not 0

A comment before a block has one of these forms:

    <!-- needs: root -->    the block is only parsed; NEEDS has the words
    <!-- file: NAME -->     the block is written to the file NAME
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

# What a command needs that a test does not have.
NEEDS = {"root", "docker", "backend", "source"}

# URL in the pages → models and dialect of the faulty host that takes its place. Without models,
# nothing listens there.
HOSTS = {
    "http://127.0.0.1:11434": (["llama3.2"], "ollama"),
    "http://gpu-1:8000": (["qwen3-8b"], "openai"),
    "http://gpu-2:30000": (["qwen3-8b"], "openai"),
    "http://gpu-3:8080": (["gemma-3-4b"], "openai"),
    "http://gpu-4:1234": (["phi-4"], "openai"),
    "http://gpu-9:8000": ([], None),
    "https://api.openai.com": (["gpt-4o-mini"], "openai"),
    "https://api.anthropic.com": (["claude-sonnet-4-5"], "anthropic"),
    "https://example.openai.azure.com/openai/v1": (["gpt-4o-prod"], "openai"),
    "https://tutti.example.com": (["qwen3-32b"], "openai"),
}
# The host that answers until a page adds others, in place of the embedded model.
FIRST_HOST = (["small-model"], "openai")

# A debug build on a busy machine starts a cluster within a minute; a page starts one twice at most.
PAGE_SECONDS = 400


class Command:
    def __init__(self, page, line, text):
        self.page, self.line, self.text = page, line, text
        self.prints = []
        self.status = 0


class Block:
    def __init__(self, page, line, language, needs, file):
        self.page, self.line, self.language = page, line, language
        self.needs, self.file = needs, file
        self.lines = []

    def commands(self):
        commands = []
        unfinished = None
        for number, line in enumerate(self.lines, self.line + 1):
            if unfinished:
                unfinished.text += "\n" + line
                if not line.endswith("\\"):
                    unfinished = None
            elif expectation := re.match(r"# (prints|exits): (.+)$", line):
                assert commands, f"{self.page}:{number}: no command is before this line"
                if expectation[1] == "prints":
                    commands[-1].prints.append(expectation[2])
                else:
                    commands[-1].status = int(expectation[2])
            elif line.strip() and not line.startswith("#"):
                commands.append(Command(self.page, number, line))
                unfinished = commands[-1] if line.endswith("\\") else None
        return commands


def blocks(page, text):
    """The blocks of a page that are run, parsed or written."""
    found = []
    block = None
    comments = {}
    for number, line in enumerate(text.split("\n"), 1):
        if block is not None:
            if line == "```":
                found.append(block)
                block = None
            else:
                block.lines.append(line)
        elif comment := re.fullmatch(r"<!-- (needs|file): (\S+) -->", line):
            comments[comment[1]] = comment[2]
        elif line.startswith("```"):
            block = Block(page, number, line[3:], comments.get("needs"), comments.get("file"))
            comments = {}
        elif line:
            comments = {}
    assert block is None, f"{page}: a block has no end"
    for block in found:
        known = block.needs is None or block.needs in NEEDS
        assert known, f"{page}:{block.line}: “{block.needs}” is none of {sorted(NEEDS)}"
    return [block for block in found if block.language == "console" or block.file]


def pages(manual):
    """Names of the pages in the order of the index."""
    with open(os.path.join(manual, "README.md"), encoding="utf-8") as index:
        linked = re.findall(r"\]\(([a-z-]+\.md)\)", index.read())
    return ["README.md"] + [
        page for page in dict.fromkeys(linked) if os.path.exists(os.path.join(manual, page))
    ]


class World:
    """Faulty hosts, free ports, and a home directory."""

    def __init__(self, executables):
        self.executables = executables
        # The path is short, because paths of sockets are limited.
        self.home = tempfile.mkdtemp(prefix="tutti-manual-", dir="/tmp")
        self.work = os.path.join(self.home, "work")
        self.results = os.path.join(self.home, "results")
        os.mkdir(self.work)
        os.mkdir(self.results)
        self.hosts = []
        self.names = {}
        self.environment = dict(os.environ)

    def start(self):
        """Starts the faulty hosts, and chooses the names and variables of the commands."""
        first = self.host(*FIRST_HOST)
        for url, (models, dialect) in HOSTS.items():
            self.names[url] = self.host(models, dialect) if models else "http://127.0.0.1:9"
        port = self.free_ports()
        for offset in range(3):
            self.names[f"127.0.0.1:{8080 + offset}"] = f"127.0.0.1:{port + offset}"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TUTTI_", "XDG_"))
        } | {
            "HOME": self.home,
            "PATH": ":".join(
                [
                    self.executables,
                    os.path.dirname(sys.executable),
                    os.environ.get("PATH", "/usr/bin"),
                ]
            ),
        }
        # Only `tutti` knows these variables; a service refuses variables without a setting of it.
        self.function = f'tutti() {{ TUTTI_HOSTS={first} TUTTI_PORT={port} command tutti "$@"; }}'

    def host(self, models, dialect):
        arguments = [word for model in models for word in ("--model", model)]
        process = subprocess.Popen(
            [
                os.path.join(self.executables, "tutti-faulty-host"),
                "--dialect",
                dialect,
                *arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.hosts.append(process)
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), "a faulty host did not start"
        return url

    @staticmethod
    def free_ports():
        """The first of three consecutive free ports, below those of outgoing connections."""
        for _ in range(100):
            port = random.randrange(2_000, 3_100) * 10
            sockets = [socket.socket() for _ in range(3)]
            try:
                for offset, listener in enumerate(sockets):
                    listener.bind(("127.0.0.1", port + offset))
                return port
            except OSError:
                continue
            finally:
                for listener in sockets:
                    listener.close()
        raise AssertionError("no free ports were found")

    def replaced(self, text):
        """The text with addresses that exist. Longer names go first, because one may begin another."""
        for name in sorted(self.names, key=len, reverse=True):
            text = text.replace(name, self.names[name])
        return text

    def path(self, name):
        return os.path.join(self.results, name)

    def run(self, commands):
        """Runs commands in one bash. Returns whether it ended in time."""
        for name in os.listdir(self.results):
            os.remove(self.path(name))
        script = [self.function]
        for number, command in enumerate(commands):
            script += [
                "{",
                self.replaced(command.text),
                f"}} >{self.path(f'{number}.out')} 2>{self.path(f'{number}.err')} </dev/null",
                f"echo $? >{self.path(f'{number}.status')}",
            ]
        process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", "\n".join(script)],
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(PAGE_SECONDS)
            return True
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False

    def result(self, number):
        """Exit status and output of a command; the status is `None` if it did not end."""
        texts = []
        for kind in ("status", "out", "err"):
            try:
                with open(self.path(f"{number}.{kind}"), encoding="utf-8", errors="replace") as file:
                    texts.append(file.read())
            except FileNotFoundError:
                texts.append("")
        status = int(texts[0]) if texts[0] else None
        return status, texts[1] + texts[2]

    def close(self):
        subprocess.run(
            [os.path.join(self.executables, "tutti"), "stop", "--now"]
            + ["--data-dir", os.path.join(self.home, ".local/share/tutti")],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for process in self.hosts:
            process.terminate()
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def mistake(world, command, number):
    """What is wrong with the result of a command. `None` means nothing."""
    status, output = world.result(number)
    place = f"{command.page}:{command.line}: {command.text}"
    if status is None:
        return f"{place}\ndid not end\n{output}"
    if status != command.status:
        return f"{place}\nexit status {status}, not {command.status}\n{output}"
    for text in command.prints:
        parts = [re.escape(part.strip()) for part in world.replaced(text).split("…")]
        if not re.search(".*".join(parts), output, re.DOTALL):
            return f"{place}\ndoes not print “{text}”\n{output}"
    return None


def parse_error(block):
    """bash's message about a block that is not run. `None` means that it is correct."""
    text = "\n".join(block.lines)
    checked = subprocess.run(
        ["bash", "-n"], input=text, capture_output=True, text=True, check=False
    )
    if checked.returncode == 0 and not checked.stderr:
        return None
    return f"{block.page}:{block.line}: bash cannot read the block\n{checked.stderr}"


def main(executables, manual):
    world = World(executables)
    mistakes = []
    count = 0
    try:
        world.start()
        for name in os.listdir(manual):
            if name.endswith(".py"):
                shutil.copy(os.path.join(manual, name), world.work)
        for page in pages(manual):
            with open(os.path.join(manual, page), encoding="utf-8") as file:
                found = blocks(page, file.read())
            commands = []
            for block in found:
                if block.file:
                    with open(os.path.join(world.work, block.file), "w") as file:
                        file.write(world.replaced("\n".join(block.lines) + "\n"))
                elif block.needs:
                    mistakes.append(parse_error(block))
                else:
                    commands += block.commands()
            if not commands:
                continue
            world.run(commands)
            mistakes += [mistake(world, command, number) for number, command in enumerate(commands)]
            count += len(commands)
    finally:
        world.close()
    mistakes = [text for text in mistakes if text]
    assert count, "the pages have no commands"
    print(f"{count} commands, {len(mistakes)} mistakes")
    if mistakes:
        sys.exit("\n\n".join(mistakes))


if __name__ == "__main__":
    main(*sys.argv[1:])
