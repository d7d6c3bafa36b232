"""The workflows are valid, run targets of the Makefile on all supported Pythons, and have few permissions."""

import re

import pytest
import yaml

from support.repository import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORKFLOWS = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in ROOT.glob(".github/workflows/*.yml")
}
JOBS = {f"{name}: {job}": body for name, flow in WORKFLOWS.items() for job, body in flow["jobs"].items()}
STEPS = [step for job in JOBS.values() for step in job["steps"]]
ON = True
"""YAML 1.1 reads the key `on` as a boolean."""


def test_there_are_two():
    """There is one workflow for changes and one for releases, so the tests below are not empty."""
    assert set(WORKFLOWS) == {"tests", "release"}


def test_they_run_targets_of_the_makefile():
    """Each target that a step makes is in the Makefile; otherwise, a step installs Redis or runs on Windows."""
    targets = set(re.findall(r"^([a-z-]+)(?=[ a-z-]*:(?!=))", MAKEFILE, re.MULTILINE))
    commands = {
        step["run"]
        for step in STEPS
        if "run" in step and not step["run"].startswith("sudo apt-get ") and "'Windows'" not in step.get("if", "")
    } | {step["run"] for step in STEPS if step.get("if", "").endswith("!= 'Windows'")}
    assert commands == {"make check", "make coverage", "make matrix", "make release-check", "make test"}
    assert {command.removeprefix("make ") for command in commands} <= targets


def test_windows_runs_the_commands_of_make_test():
    """Windows runs what `make test` runs, but with a fixed number of processes, and with no files in memory."""
    (step,) = (step for step in STEPS if step.get("if", "").endswith("== 'Windows'"))
    recipes = [
        re.search(rf"^{target}: .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1] for target in ("lint", "types", "unit")
    ]
    made = "".join(recipes).replace("\t", "").replace("$(BIN)/", "").replace("$(IN_MEMORY) ", "")
    for name in ("TESTS", "ON_ALL_CORES"):
        made = made.replace(f"$({name})", re.search(rf"^{name} := (.*)$", MAKEFILE, re.MULTILINE)[1])
    commands = step["run"].partition('export PATH="$PWD/.venv/Scripts:$PATH"\n')[2]
    assert commands == made.replace("$(WORKERS)", "4")


def test_actions_are_pinned():
    """Each action is pinned by the hash of a commit, with its version in a comment; the same one everywhere."""
    lines = [
        line.partition("uses: ")[2]
        for file in ROOT.glob(".github/workflows/*.yml")
        for line in file.read_text(encoding="utf-8").splitlines()
        if "uses: " in line
    ]
    assert len(lines) == sum("uses" in step for step in STEPS)
    assert [line for line in lines if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    assert len(set(lines)) == len({line.partition("@")[0] for line in lines})


def test_pythons_are_those_of_the_classifiers():
    """A change is tested on each Python in the metadata, on three systems; a newer Python may be tried early."""
    promised = re.findall(r"Python :: (3\.\d+)\"", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    jobs = WORKFLOWS["tests"]["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == promised
    elsewhere = jobs["elsewhere"]["strategy"]["matrix"]
    assert elsewhere["python"][: len(promised)] == promised
    assert elsewhere["system"] == ["macos-latest", "windows-latest"]


def test_a_tag_publishes_what_was_checked():
    """Only a tag v… releases; only the last job may publish, in its environment, and only what the first one built."""
    release = WORKFLOWS["release"]
    assert release[ON] == {"push": {"tags": ["v*"]}}
    publish = release["jobs"]["publish"]
    assert publish["needs"] == "build"
    assert publish["environment"] == "pypi"
    assert publish["permissions"] == {"id-token": "write"}
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_rights_are_few(name):
    """A workflow may read the project, and only the publishing job has more permissions."""
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    assert [job for job, body in WORKFLOWS[name]["jobs"].items() if "permissions" in body] in ([], ["publish"])


@pytest.mark.parametrize("job", JOBS)
def test_jobs_come_to_an_end(job):
    """Each job has a time limit, so that a hanging test does not run for six hours."""
    assert JOBS[job]["timeout-minutes"] <= 90
