"""Tidies signatures in the reference: fields of a pydantic model, values of constants."""  # noqa: INP001 - no package

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import griffe

if TYPE_CHECKING:
    from griffe import Attribute, Class, Function


class Signatures(griffe.Extension):
    """Replaces `Field(default=None)` by `None`, `MAX_BATCH_SIZE` by 2048, and `(*args, **kwargs)` by fields."""

    def on_attribute_instance(self, *, attr: Attribute, **_: Any) -> None:
        """Replace the call that declares a field by the default in it."""
        value = attr.value
        if _calls(value, "Field"):
            value = next((it.value for it in value.arguments if getattr(it, "name", None) == "default"), None)
        if _calls(value, "cast"):
            value = value.arguments[1]
        attr.value = value

    def on_function_instance(self, *, func: Function, **_: Any) -> None:
        """Replace a constant of this package that is a default by its value."""
        for parameter in func.parameters:
            default = parameter.default
            if isinstance(default, griffe.ExprName) and default.name.isupper():
                module, _, name = default.canonical_path.rpartition(".")
                parameter.default = repr(getattr(import_module(module), name))

    def on_class_members(self, *, cls: Class, **_: Any) -> None:
        """Give a model a constructor that takes its fields, which are its documented attributes."""
        if "model_config" not in cls.members:
            return
        fields = [it for it in cls.members.values() if it.is_attribute and it.docstring and it.annotation]
        keywords = [_keyword(it) for it in fields]
        cls.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(_SELF, *keywords)))


_SELF = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)


def _keyword(field: Attribute) -> griffe.Parameter:
    kind = griffe.ParameterKind.keyword_only
    return griffe.Parameter(field.name, annotation=field.annotation, kind=kind, default=field.value)


def _calls(value: Any, name: str) -> bool:
    return isinstance(value, griffe.ExprCall) and value.canonical_path.rpartition(".")[2] == name
