"""The state folder that the environment names."""

import pytest

from electronhub_embeddings._storage.state_folder import state_file


def test_a_folder_of_your_own(monkeypatch, tmp_path, state_folder):
    """The variable names the folder itself; without it, the folder is below the user's state folder."""
    usual = state_file("rate-limit")
    assert usual.parent.parent == state_folder
    monkeypatch.setenv("ELECTRONHUB_STATE_FOLDER", str(tmp_path))
    assert state_file("rate-limit") == tmp_path / usual.name
    monkeypatch.setenv("ELECTRONHUB_STATE_FOLDER", "")
    assert state_file("rate-limit") == usual


def test_a_relative_folder_is_refused(monkeypatch):
    """A relative path would be another folder for each process."""
    monkeypatch.setenv("ELECTRONHUB_STATE_FOLDER", "state")
    with pytest.raises(OSError, match="ELECTRONHUB_STATE_FOLDER must be an absolute path"):
        state_file("rate-limit")
