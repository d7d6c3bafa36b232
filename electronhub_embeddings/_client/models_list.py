"""Lists the service's models, without the workers: this request does not count against the rate limit."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from electronhub_embeddings._config.import_lock import importing

if TYPE_CHECKING:
    from electronhub_embeddings._client.lifecycle import Lifecycle


def list_models(lifecycle: Lifecycle) -> list[str]:
    """Return the ids of the service's embedding models.

    Raises:
        ElectronHubError: The client is closed, or as for any request; this request is not retried.
    """
    lifecycle.check_open()
    with importing:
        from electronhub_embeddings._http.api_client import ApiClient  # noqa: PLC0415 - httpx is slow to import

    with closing(ApiClient(lifecycle.options.account, lifecycle.options.request_config)) as api_client:
        return api_client.list_models()
