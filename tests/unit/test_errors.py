"""The exception tree: it matches its docstring, and each error can be copied, pickled and shared."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import electronhub_embeddings
from electronhub_embeddings import errors
from electronhub_embeddings.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ElectronHubError,
    InputError,
    InvalidResponseError,
)

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, ElectronHubError)]
STATUS_CLASSES = [kind for kind in CLASSES if issubclass(kind, APIStatusError)]
STATUS = {
    "status_code": 418,
    "body": {"error": {"message": "No."}},
    "param": "input",
    "code": "teapot",
    "retry_after": 7.5,
    "index": 3,
}
COPIES = [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy]  # noqa: S301 - our own bytes


def make(kind):
    """Return an error of a kind with everything that it can carry."""
    if issubclass(kind, APIStatusError):
        error = kind("No.", **STATUS)
    elif issubclass(kind, APIConnectionError):
        error = kind("No.", sent=False)
    elif kind is InvalidResponseError:
        error = kind("No.", index=3, retries=1)
    else:
        error = kind("No.", index=3)
    error.partial = {2: np.array([1.0, 2.0], np.float32)}
    return error


def drawn():
    """Read the tree in the docstring: class -> parent."""
    parents, path = {}, []
    for line in errors.__doc__.splitlines():
        name = line.lstrip("│├└─ ").split(" ")[0]
        if not name.endswith("Error") or line.startswith("    except"):
            continue
        depth = (len(line) - len(line.lstrip("│├└─ "))) // 4
        path[depth:] = [name]
        parents[name] = path[depth - 1] if depth else "Exception"
    return parents


def test_tree_is_as_drawn():
    """The docstring draws every class of the module below its real parent."""
    assert {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES} == drawn()


def test_every_error_is_public():
    """All public errors can be imported from the package itself."""
    assert {kind.__name__ for kind in CLASSES} <= set(electronhub_embeddings.__all__)
    assert all(getattr(electronhub_embeddings, kind.__name__) is kind for kind in CLASSES)


def test_input_error_is_a_value_error():
    """`except ValueError` for invalid arguments also catches invalid texts."""
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("twin", COPIES, ids=["pickle", "copy", "deepcopy"])
def test_copies_keep_everything(kind, twin):
    """A copy has the same message, vectors, index and status."""
    error = make(kind)
    other = twin(error)
    assert type(error) is type(other)
    assert (str(error), error.args) == (str(other), other.args)
    assert {**vars(error), "partial": None} == {**vars(other), "partial": None}
    assert {index: vector.tolist() for index, vector in other.partial.items()} == {2: [1.0, 2.0]}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_caller_gets_a_copy_of_its_own(kind):
    """Callers of a shared request get the same message and cause, their own index, and no other caller's vectors."""
    error = make(kind)
    error.__cause__ = OSError("reset")
    mine, other = error.for_caller(7), error.for_caller()
    assert (type(error), error.message, error.__cause__) == (type(mine), mine.message, mine.__cause__)
    assert (mine.index, other.index) == (7, None)
    assert mine.partial == {}
    mine.partial = {0: np.zeros(1)}
    assert other.partial == {}
    assert list(error.partial) == [2]


@pytest.mark.parametrize("kind", STATUS_CLASSES)
def test_a_status_error_says_status_message_index_and_what_to_do(kind):
    """The message is one line: what happened, where, and what to do about it."""
    assert f"418: No (your input 3). {kind.next_step}".rstrip() == str(make(kind))


@pytest.mark.parametrize("kind", sorted(set(CLASSES) - set(STATUS_CLASSES), key=lambda kind: kind.__name__))
def test_another_error_says_message_index_and_what_to_do(kind):
    """An error without a status starts with its message."""
    where = " (your input 3)" if make(kind).index is not None else ""
    assert f"No{where}. {kind.next_step}".rstrip() == str(make(kind))


def test_sentences_do_not_run_together():
    """A service's message without a full stop gets one before the advice."""
    assert str(AuthenticationError("No such key", status_code=401)).startswith("401: No such key. Check")
    assert str(AuthenticationError("No such key!", status_code=401)).startswith("401: No such key! Check")


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_without_index_names_none(kind):
    """If no text is known to be at fault, no input is named."""
    assert "input " not in str(kind("No.")).replace(kind.next_step, "")
    assert kind("No.").index is None


@pytest.mark.parametrize("kind", CLASSES)
def test_two_errors_share_no_vectors(kind):
    """Vectors added to one error do not appear in another."""
    first, second = kind("No."), kind("No.")
    first.partial[0] = np.zeros(1)
    assert second.partial == {}


@pytest.mark.parametrize("kind", [APIConnectionError, APITimeoutError])
def test_a_broken_connection_counts_unless_said_otherwise(kind):
    """By default, the call is assumed to be counted."""
    assert kind("No.").sent is True
    assert kind("No.", sent=False).sent is False


def test_the_words_of_the_service_are_the_message():
    """The service's message is kept separately from what the package adds to it."""
    error = BadRequestError("Bad text.", status_code=400, index=2)
    assert (error.message, error.args) == ("Bad text.", ("Bad text.",))
    assert str(error) == f"400: Bad text (your input 2). {BadRequestError.next_step}"
