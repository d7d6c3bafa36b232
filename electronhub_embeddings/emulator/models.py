"""The models on offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

EMBEDDINGS: Final = "/v1/embeddings"


@dataclass(frozen=True)
class Model:
    """One row of `GET /v1/models`."""

    id: str
    dimensions: int
    """Length of its vectors, and the longest that `dimensions` may ask for; 0 for a model without vectors."""
    shortens: bool = False
    """Whether it accepts `dimensions`: "text-embedding-3 models only"."""
    owned_by: str = "openai"
    endpoints: tuple[str, ...] = (EMBEDDINGS,)

    @property
    def embeds(self) -> bool:
        """Whether it can be asked for embeddings."""
        return EMBEDDINGS in self.endpoints

    def row(self) -> dict[str, Any]:
        """Return what `GET /v1/models` lists."""
        return {
            "id": self.id,
            "object": "model",
            "owned_by": self.owned_by,
            "endpoints": list(self.endpoints),
        }


MODELS: Final = {
    model.id: model
    for model in (
        Model("text-embedding-3-small", 1536, shortens=True),
        Model("text-embedding-3-large", 3072, shortens=True),
        Model("text-embedding-ada-002", 1536),
        Model("codestral-embed", 1536, owned_by="mistral"),
        Model("mistral-embed", 1024, owned_by="mistral"),
        Model("gemini-embedding-2", 3072, owned_by="google"),
        Model("gpt-4o-mini", 0, endpoints=("/v1/chat/completions",)),
    )
}
"""Every model by id: those that embed, and one that only chats, for a client's filter to leave out."""
