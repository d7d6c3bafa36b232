"""Pydantic fields whose values may contain a password: read as usual, and never printed.

`vars(model)`, `model.__dict__` and debuggers see concealed values; attribute access returns the plain values.
"""

from __future__ import annotations

from inspect import cleandoc
from textwrap import fill
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, SecretStr
from typing_extensions import Self, override

from electronhub_embeddings._adapter_support import without_inputs
from electronhub_embeddings._config.secret import conceal, reveal

if TYPE_CHECKING:
    from collections.abc import Mapping


if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import TypeAlias

    import httpx
    import httpx2

    from electronhub_embeddings.rate_limit_stores import RateLimitStore
    from electronhub_embeddings.usage import RequestInfo

    StrPath: TypeAlias = str | os.PathLike[str]
    Store: TypeAlias = RateLimitStore | StrPath
    HTTPClient: TypeAlias = httpx.Client | httpx2.Client
    Hook: TypeAlias = Callable[[RequestInfo], None]

    class ApiKey:
        """The type of `api_key` for type checkers: a plain string may be passed or assigned, a SecretStr is read."""

        def __get__(self, model: BaseModel, owner: type) -> SecretStr | None: ...
        def __set__(self, model: BaseModel, value: SecretStr | str | None) -> None: ...

else:
    ApiKey = SecretStr | None
    StrPath = Store = HTTPClient = Hook = Any  # checked as the client does, without an import of httpx

WIDTH = 116
"""Characters in a line of what `help` shows, without its own indentation."""


class ConfidentialFields(BaseModel):
    """Conceals the fields named in `CONFIDENTIAL`, and the inputs in every validation error."""

    CONFIDENTIAL: ClassVar[tuple[str, ...]] = ()

    if not TYPE_CHECKING:  # type checkers derive the arguments from the fields

        @without_inputs
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{name: reveal(value) for name, value in kwargs.items()})

        @classmethod
        @override
        @without_inputs
        def model_validate(cls, *args: Any, **kwargs: Any) -> Self:
            return super().model_validate(*args, **kwargs)

        @classmethod
        @override
        @without_inputs
        def model_validate_json(cls, *args: Any, **kwargs: Any) -> Self:
            return super().model_validate_json(*args, **kwargs)

        @classmethod
        @override
        @without_inputs
        def model_validate_strings(cls, *args: Any, **kwargs: Any) -> Self:
            return super().model_validate_strings(*args, **kwargs)

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        for name in cls.CONFIDENTIAL:  # in the class body, pydantic would use them as defaults
            setattr(cls, name, _Revealed(name))

    @override
    def model_post_init(self, context: Any, /) -> None:
        self._conceal()

    @override
    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy the fields and apply updates."""
        copied = super().model_copy(update=update, deep=deep)
        copied._conceal()  # noqa: SLF001 - the same class
        return copied

    @override
    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self._conceal()

    def _conceal(self) -> None:
        fields = vars(self)
        fields.update({name: conceal(fields[name]) for name in self.CONFIDENTIAL if name in fields})
        if isinstance(fields.get("api_key"), str):
            fields["api_key"] = SecretStr(fields["api_key"])


class _Revealed:
    """Reads a concealed field as an attribute."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, model: BaseModel | None, owner: type) -> Any:
        if model is None or self._name not in model.__dict__:
            raise AttributeError(self._name)  # pydantic looks for defaults on the class
        return reveal(model.__dict__[self._name])

    def __set__(self, model: BaseModel, value: Any) -> None:
        vars(model)[self._name] = conceal(value)


def describe_fields(cls: type[BaseModel]) -> str:
    """Return the docstring of a model with its fields as arguments, for `help`, which shows no docstring of a field."""
    lines = (f"    {name}: {' '.join((it.description or '').split())}" for name, it in cls.model_fields.items())
    wrapped = (fill(line, WIDTH, subsequent_indent=" " * 8, break_on_hyphens=False) for line in lines)
    return "\n".join([cleandoc(cls.__doc__ or ""), "", "Args:", *wrapped])
