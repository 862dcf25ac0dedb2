"""The names of `typing` and `collections.abc` that the tools use: to import the true ones takes a third of a call."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import IO, Any, NamedTuple
else:
    Any = IO = Callable = Iterable = Iterator = Mapping = Sequence = object

    class NamedTuple(tuple):
        """A tuple whose places have the names of the class's annotations; defaults are the values given there."""

        __slots__ = ()

        def __init_subclass__(cls) -> None:
            cls._names = tuple(cls.__annotations__)
            cls._defaults = {name: cls.__dict__[name] for name in cls._names if name in cls.__dict__}
            for place, name in enumerate(cls._names):
                setattr(cls, name, property(lambda self, place=place: self[place]))

        def __new__(cls, *values, **named):
            """Takes values by place and by name, as a function with these parameters would."""
            rest = cls._names[len(values) :]
            known = {**cls._defaults, **named}
            if len(values) > len(cls._names) or not set(named) <= set(rest) or not set(rest) <= set(known):
                raise TypeError(f"{cls.__name__} takes {', '.join(cls._names)}")
            return tuple.__new__(cls, (*values, *(known[name] for name in rest)))


__all__ = ["IO", "TYPE_CHECKING", "Any", "Callable", "Iterable", "Iterator", "Mapping", "NamedTuple", "Sequence"]
