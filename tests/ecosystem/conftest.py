"""A service, models of it for LangChain, and a PostgreSQL server with pgvector."""

import pytest

from langchain_electronhub import ElectronHubEmbeddings
from support.postgres_server import running_server


@pytest.fixture(scope="session")
def postgres():
    """Return a server for all tests."""
    with running_server() as server:
        yield server


@pytest.fixture
def service(emulator):
    """Return a service of 60 requests per minute, more than a test needs; without a limit, jobs are split."""
    return emulator(rpm=60)


@pytest.fixture
def sent(service):
    """Return a function that lists the number of texts in each request."""
    return lambda: [call.texts for call in service.calls]


@pytest.fixture
def model(closing, service):
    """Return a function that creates a LangChain model for the service."""

    def make(**options):
        return closing(ElectronHubEmbeddings(api_key=service.api_key, base_url=service.base_url, **options))

    return make


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request):
    """Return whether to call the async methods."""
    return request.param


@pytest.fixture
def call(asynchronous):
    """Return a function that calls the sync or the async method of an object, while an event loop is running."""

    async def either(thing, method, *args, **options):
        if asynchronous:
            return await getattr(thing, f"a{method}")(*args, **options)
        return getattr(thing, method)(*args, **options)

    return either
