#!/usr/bin/env python3
"""Writes the manual pages of the executables in BIN into FOLDER/man1 and FOLDER/man8.

    Tools/man.py BIN FOLDER

The pages are made from the executables' own descriptions: the argument parser's dump for `tutti`,
and `--help` for the services. So a page lists exactly the options of its executable.
"""
import json
import os
import subprocess
import sys
from pathlib import Path


def run(program, *arguments):
    # Defaults below the home directory are shown as such.
    environment = {"PATH": os.environ["PATH"], "HOME": "/HOME"}
    done = subprocess.run([program, *arguments], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"man: {program} {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout.replace("/HOME/", "~/")


def escaped(text):
    """The text as roff that prints it unchanged."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def prose(text):
    """Paragraphs. Examples, which are indented, and columns keep their line ends and spaces."""
    lines, is_example = [".PP"], False
    for line in text.split("\n"):
        is_fixed = "  " in line
        if is_fixed != is_example and line.strip():
            if lines[-1] in (".PP", ".sp"):
                lines.pop()
            lines += [".PP", ".RS 4", ".nf"] if is_fixed else [".fi", ".RE", ".PP"]
            is_example = is_fixed
        if line.strip():
            lines.append(escaped(line.removeprefix("  ")))
        elif lines[-1] not in (".PP", ".sp"):
            lines.append(".sp" if is_example else ".PP")
    if is_example:
        lines += [".fi", ".RE"]
    while lines[-1] == ".PP":
        lines.pop()
    return lines


def header(name, section, version, summary, synopsis):
    return [
        f'.TH "{escaped(name).upper()}" {section} "" "Tutti {version}" "Tutti"',
        ".SH NAME", f"{escaped(name)} \\- {escaped(summary.rstrip('.'))}",
        ".SH SYNOPSIS", *synopsis,
    ]


# The page of `tutti`.


def flags(argument):
    dashes = {"long": "--", "short": "-", "longWithSingleDash": "-"}
    names = [dashes[name["kind"]] + name["name"] for name in argument.get("names") or []]
    return sorted(names, key=len)


def options(command):
    lines = []
    for argument in command.get("arguments", []):
        names = flags(argument)
        if not argument["shouldDisplay"] or "--help" in names or "--version" in names:
            continue
        value = escaped(argument.get("valueName") or "")
        if argument["kind"] == "positional":
            lines += [".TP", f"\\fI{value}\\fR"]
        else:
            shown = ", ".join(f"\\fB{escaped(name)}\\fR" for name in names)
            lines += [".TP", shown + (f" \\fI{value}\\fR" if argument["kind"] == "option" else "")]
        text = [argument.get("abstract", ""), argument.get("discussion", "")]
        if values := argument.get("allValues"):
            text.append(f"One of {', '.join(values)}.")
        if default := argument.get("defaultValue"):
            text.append(f"Default: {default}.")
        lines.append(escaped(" ".join(" ".join(part.split()) for part in text if part)))
    return lines


def commands(command, path):
    """The sections of the subcommands that can be run, in the order of `--help`."""
    lines = []
    for child in command.get("subcommands", []):
        if child["commandName"] == "help" or not child["shouldDisplay"]:
            continue
        name = f"{path} {child['commandName']}"
        if child.get("subcommands"):
            lines += commands(child, name)
            continue
        words = [name, "[OPTION]..."] + [
            argument["valueName"].upper() for argument in child.get("arguments", [])
            if argument["kind"] == "positional" and argument["shouldDisplay"]]
        lines.append(f'.SS "{escaped(" ".join(words))}"')
        lines += prose(child["abstract"])
        if discussion := child.get("discussion"):
            lines += prose(discussion)
        lines += options(child)
    return lines


def command_page(executable, version, services):
    command = json.loads(run(executable, "--experimental-dump-help"))["command"]
    name = command["commandName"]
    lines = header(
        name, 1, version, command["abstract"],
        [f"\\fB{name}\\fR \\fICOMMAND\\fR [OPTION]..."])
    lines += [".SH DESCRIPTION", *prose(command["discussion"])]
    lines += [".SH COMMANDS", *commands(command, name)]
    lines += [".SH SEE ALSO", ",\n".join(f"\\fB{escaped(service)}\\fR(8)" for service in services)]
    return lines


# The page of a service.


def service_page(executable, name, version):
    lines = run(executable, "--help").rstrip("\n").split("\n")
    summary = lines[0].removeprefix(f"{name}: ")
    usage = lines[2].removeprefix(f"Usage: {name} ")
    page = header(
        name, 8, version, summary, [f"\\fB{escaped(name)}\\fR {escaped(usage)}"])
    page += [".SH DESCRIPTION"]
    body, index = lines[4:], 0
    while index < len(body):
        line = body[index]
        index += 1
        if line.startswith("  --"):
            if page[-1] == ".SH DESCRIPTION" or ".TP" not in page:
                page.append(".SH OPTIONS")
            page += [".TP", f"\\fB{escaped(line.strip())}\\fR"]
            # An option without a text still needs a body.
            if index == len(body) or not body[index].startswith("      "):
                page.append("Print help, or the version, and exit.")
        elif line.startswith("      "):
            page.append(escaped(line.strip()))
        elif index < len(body) and body[index].startswith("  --"):
            page.append(f'.SS "{escaped(line)}"')
        elif line.startswith("Exit codes: "):
            page += [".SH EXIT STATUS", escaped(line.removeprefix("Exit codes: "))]
        elif line:
            page.append(escaped(line))
        elif page[-1] != ".PP" and index < len(body) and not body[index].startswith("  --"):
            page.append(".PP")
    page += [".SH SEE ALSO", "\\fBtutti\\fR(1)"]
    return page


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    binaries, folder = Path(sys.argv[1]), Path(sys.argv[2])
    services = sorted(
        path.name for path in binaries.glob("tutti-*")
        if path.name not in ("tutti-faulty-host", "tutti-simulate") and os.access(path, os.X_OK) and path.is_file())
    # The output is `tutti VERSION (COMMIT)`.
    version = run(binaries / "tutti", "--version").split()[1]
    pages = {"man1/tutti.1": command_page(binaries / "tutti", version, services)}
    for name in services:
        pages[f"man8/{name}.8"] = service_page(binaries / name, name, version)
    for path, lines in pages.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")


main()
