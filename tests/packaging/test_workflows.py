"""The workflows are valid, run targets of the Makefile on all supported Pythons, and have few permissions."""

import re

import pytest
import yaml

from support.repository import ROOT

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
    """Each target that a step makes is in the Makefile, and a step does nothing else but install Redis."""
    targets = set(
        re.findall(r"^([a-z-]+)(?=[ a-z-]*:(?!=))", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    commands = {step["run"] for step in STEPS if "run" in step and not step["run"].startswith("sudo apt-get ")}
    assert commands == {"make check", "make matrix", "make dist"}
    assert {command.removeprefix("make ") for command in commands} <= targets


def test_actions_are_pinned():
    """Each action is pinned by its major version, never by a branch that anything may be pushed to."""
    used = {step["uses"] for step in STEPS if "uses" in step}
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@(release/)?v\d+", name)] == []


def test_pythons_are_those_of_the_classifiers():
    """A change is tested on each Python in the metadata."""
    promised = re.findall(r"Python :: (3\.\d+)\"", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert WORKFLOWS["tests"]["jobs"]["test"]["strategy"]["matrix"]["python"] == promised


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
