"""One request: the pieces of the calls that share it, and what each of them gets out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from electronhub_embeddings.errors import InvalidResponseError, RateLimitError
from electronhub_embeddings.packing import share
from electronhub_embeddings.rows import new_room
from electronhub_embeddings.telemetry import TRACED

if TYPE_CHECKING:
    import numpy as np

    from electronhub_embeddings.courier import Outcome
    from electronhub_embeddings.job import Job
    from electronhub_embeddings.lane import Lane
    from electronhub_embeddings.packing import Piece


@dataclass(frozen=True)
class Request:
    """Texts that travel together; `learn`, `count` and `land` are called with the line's lock held."""

    lane: Lane
    pieces: list[Piece[Job]]
    slot: str
    """Its slot in the window of the limit."""
    encoding_format: str
    """How vectors are asked for."""

    @property
    def texts(self) -> list[str]:
        """The texts in the order in which they are sent."""
        return [text for piece in self.pieces for text in piece.job.inputs.texts[piece.start : piece.stop]]

    def room(self, count: int, width: int) -> np.ndarray:
        """Find the place to decode vectors into: where they belong, or an array to copy them from."""
        if len(self.pieces) == 1 and width == self.lane.experience.width:
            piece = self.pieces[0]
            piece.job.make_room(width)
            if (place := piece.job.place_of(piece, width)) is not None:
                return place
        return new_room(count, width)

    def learn(self, outcome: Outcome) -> None:
        """Learn from good rows and make room for them; rows of another width than before turn into an error."""
        if outcome.rows is None:
            return
        experience, width = self.lane.experience, outcome.rows.shape[1]
        if experience.width not in {None, width}:
            message = f"Vectors had {experience.width} dimensions before, {width} now."
            outcome.error = InvalidResponseError(message, retries=0)
            return
        experience.width, experience.proven = width, True
        experience.capacity.learn_price(sum(piece.size for piece in self.pieces), outcome.charge.prompt_tokens)
        for piece in self.pieces:
            piece.job.make_room(width)

    def count(self, outcome: Outcome) -> None:
        """Add the request to the counters of the clients whose texts it carried."""
        if not outcome.sent:
            return
        first = self.pieces[0].job.usage
        first.attempts += 1
        first.requests += outcome.error is None
        first.rate_limited += isinstance(outcome.error, RateLimitError)
        prompt, total = self.shares(outcome.charge.prompt_tokens), self.shares(outcome.charge.total_tokens)
        for piece, prompt_tokens, total_tokens in zip(self.pieces, prompt, total, strict=True):
            piece.job.usage.prompt_tokens += prompt_tokens
            piece.job.usage.total_tokens += total_tokens
            piece.job.usage.texts += len(piece) if outcome.error is None else 0

    def shares(self, tokens: int) -> list[int]:
        """Divide tokens among the pieces by their size."""
        return share(tokens, [piece.size for piece in self.pieces])

    @property
    def observed(self) -> bool:
        """Whether anybody wants to be told of it."""
        return TRACED or any(piece.job.on_request is not None for piece in self.pieces)

    def place(self, outcome: Outcome) -> None:
        """Hand out the rows."""
        if outcome.rows is None or outcome.error is not None:
            return
        position = 0
        for piece in self.pieces:
            piece.job.place(piece, outcome.rows[position : position + len(piece)])
            position += len(piece)

    def land(self) -> list[Job]:
        """Note that the rows are in place; return the calls that are finished with them."""
        done = []
        for piece in self.pieces:
            if piece.job.land(piece):
                done.append(piece.job)
            elif piece.job.error is not None:  # its cached vectors have another width: what waits is not worth sending
                done += self.lane.fail(piece.job, piece.job.error, spare_apart=True)
        return done
