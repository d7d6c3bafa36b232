"""Breaks the modules without I/O in many small ways, and says which of the changes no test has noticed.

What may go unnoticed stands in `mutants.txt`, each with the reason; anything else fails. Started by `make mutants`.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

MUTMUT = Path(sys.executable).with_name("mutmut")
ALLOWED = Path(__file__).with_name("mutants.txt")
NOTICED = {"killed", "timeout"}
"""A test failed or timed out."""


def mutmut(*arguments):
    """Run the tool, and return what it prints."""
    run = subprocess.run([MUTMUT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if run.returncode:
        sys.exit(run.stdout[-3000:])
    return run.stdout


def describe(name):
    """Identify a mutant by its function and its changed lines, which stay the same when other code changes."""
    module, function = re.fullmatch(r"\w+\.(.+)\.x(.+)__mutmut_\d+", name).groups()
    function = function.strip("ǁ").replace("ǁ", ".") if "ǁ" in function else function.removeprefix("_")
    lines = [line for line in mutmut("show", name).splitlines() if re.match(r"[-+](?![-+])", line)]
    after = " ".join(line[1:].strip() for line in lines if line[0] == "+")
    return f"{module}.{function}: {after}", "\n".join(lines)


def main():
    """Run all mutants, print the survivors that are not allowed, and end with 1 if there are any."""
    shutil.rmtree("mutants", ignore_errors=True)
    mutmut("run")
    states = dict(re.findall(r"^ *(\S+__mutmut_\d+): (.+)$", mutmut("results", "--all", "true"), re.MULTILINE))
    allowed = {line for line in ALLOWED.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")}
    unnoticed = {name: describe(name) for name, state in states.items() if state not in NOTICED}
    news = {name: told for name, told in unnoticed.items() if told[0] not in allowed}
    for name, (short, lines) in news.items():
        print(f"{states[name]}: {short}\n{lines}\n")
    for line in sorted(allowed - {short for short, _ in unnoticed.values()}):
        print(f"noticed by now, though allowed: {line}")
    counts = ", ".join(f"{number} {state}" for state, number in Counter(states.values()).most_common())
    print(f"{len(states)} mutants: {counts}; {len(unnoticed) - len(news)} of them allowed, {len(news)} not.")
    return 1 if news or not states else 0


if __name__ == "__main__":
    sys.exit(main())
