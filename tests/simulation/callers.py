"""The callers: texts, calls, and records of their results."""

from dataclasses import dataclass, field
from itertools import accumulate

from electronhub_embeddings._scheduling.call import Call
from electronhub_embeddings.errors import CacheError, InvalidResponseError, ModelChangedError
from simulation.service import vector_of
from support.scheduler_driver import Progress


@dataclass(frozen=True)
class Config:
    """A request configuration."""

    model: str
    batch_size: int = 16
    max_retries: int = 2
    max_concurrency: int = 4
    requests_per_minute: int | None = None
    spread_documents: bool = True
    timeout: float = 20.0
    encoding_format: str = "base64"

    @property
    def max_duration(self):
        """Seconds after which a request has ended in any case."""
        return self.timeout + 10.0


class TextInputs:
    """The texts of a call, each with its simulated size in bytes."""

    def __init__(self, texts, sizes, order=None):
        self.order = list(range(len(texts))) if order is None else order
        """Position in the request -> position in the caller's list."""
        self.texts = [texts[i] for i in self.order]
        self.ends = list(accumulate(sizes[i] for i in self.order))

    def first_input(self, position):
        """Return the caller's position of a text."""
        return self.order[position]


class Output:
    """Collects the vectors of a call: caller's position -> vector."""

    def __init__(self, record, known=()):
        self._record = record
        self.vectors = {i: record.vector_in_cache(i) for i in known}

    def put(self, start, stop, vectors):
        """Store vectors; each position must be stored exactly once."""
        if self._record.cache_is_stale:
            raise InvalidResponseError("Vectors have another length in the cache.")
        for position, vector in zip(range(start, stop), vectors, strict=True):
            place = self._record.call.inputs.first_input(position)
            self._record.world.require(
                place not in self.vectors, "each text ends once", "{} text {} got two vectors", self._record, place
            )
            self.vectors[place] = vector

    def forget_known(self):
        """Forget the vectors from the cache."""
        for place in self._record.known:
            del self.vectors[place]

    def result(self):
        """Return all vectors."""
        return dict(self.vectors)

    def partial(self):
        """Return the finished vectors."""
        return dict(self.vectors)


@dataclass(eq=False)
class Record:
    """A call, and the world's record of it."""

    world: object
    name: str
    process: object
    client: object
    texts: list
    sizes: list
    is_query: bool = False
    max_wait: float | None = None
    known: tuple = ()
    """Positions of the texts that are in the cache."""
    is_shown: bool = False
    """Whether a progress bar is told a forecast after each answer."""
    has_cache: bool = False
    cache_fails: bool = False
    cache_is_stale: bool = False
    """Whether the vectors in the cache have another length than those of the service."""
    blocked: float = 0.0
    """Seconds that texts of the call waited while the limit allowed no request."""
    is_submitted: bool = False
    is_withdrawn: bool = False
    is_closed: bool = False
    """Whether its client was closed while it was under way."""
    outcome: object = None
    error: object = None
    submitted_at: float | None = None
    sent_at: float | None = None
    """When the first of its texts left."""
    ended_at: float | None = None
    call: Call = field(init=False)

    def __post_init__(self):
        self.call = Call(
            TextInputs(self.texts, self.sizes),
            self.client.attachment,
            is_query=self.is_query,
            max_wait=self.max_wait,
            progress=Progress(is_shown=self.is_shown),
            cache=object() if self.has_cache else None,
            on_done=self.end,
        )

    def __str__(self):
        return self.name

    def vector_in_cache(self, place):
        """Return the vector of a text that is in the cache."""
        return vector_of(self.texts[place])

    def look_up(self):
        """Perform the call's lookup; return the error, if any."""
        if self.cache_fails:
            return CacheError("The cache is damaged.")
        guard = self.call.guard
        if guard is not None and guard.change is not None:
            self.known = ()
            if self.call.attachment.raises_on_change:
                return ModelChangedError("Another model.")
        rest = [i for i in range(len(self.texts)) if i not in set(self.known)]
        self.call.inputs = TextInputs(self.texts, self.sizes, [*self.known, *rest])
        self.call.known = len(self.known)
        self.call.output = Output(self, self.known)
        return None

    def end(self):
        """Record that the call has ended."""
        self.ended_at = self.world.clock.now
        self.error = self.call.error
        self.outcome = self.call._result if self.error is None else self.error.partial  # result() would forget it
        self.world.ended(self)
