"""LangChain's own tests of an embeddings class."""

import pytest
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from electronhub_embeddings.emulator import Emulator
from langchain_electronhub import ElectronHubEmbeddings


class TestUnit(EmbeddingsUnitTests):
    """Construction, also from the environment alone."""

    @property
    def embeddings_class(self):
        """Return the class under test."""
        return ElectronHubEmbeddings

    @property
    def embedding_model_params(self):
        """Return the minimum arguments."""
        return {"api_key": "ek-test", "model": "text-embedding-3-small"}

    @property
    def init_from_env_params(self):
        """Return the environment, further arguments, and the expected attributes."""
        return (
            {"ELECTRONHUB_API_KEY": "ek-env", "ELECTRONHUB_BASE_URL": "https://gateway.example/v1"},
            {"base_url": "https://api.example/v1", "dimensions": 8},
            {"api_key": "ek-env", "base_url": "https://api.example/v1", "dimensions": 8},
        )


class TestIntegration(EmbeddingsIntegrationTests):
    """Calls, against a service on loopback."""

    @pytest.fixture(autouse=True)
    def _service(self):
        with Emulator(rpm=0) as self.service:
            yield

    @pytest.fixture
    def model(self, _service, closing):
        """Return a model that is closed after the test."""
        return closing(self.embeddings_class(**self.embedding_model_params))

    @property
    def embeddings_class(self):
        """Return the class under test."""
        return ElectronHubEmbeddings

    @property
    def embedding_model_params(self):
        """Return the arguments for the service."""
        return {"api_key": self.service.api_key, "base_url": self.service.base_url}
