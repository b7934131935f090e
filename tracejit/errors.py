"""Every error that user code can meet: each names the op, the types, the line, and what to do.

`ShapeError`, `DTypeError` and `UnboundedError` come from the IR, which
raises them first.
"""

from tracejit.ir.types import DTypeError, ShapeError, UnboundedError


class TracejitError(Exception):
    """The base of the errors below."""


class UnsupportedError(TracejitError, TypeError):
    """A NumPy function, keyword or kind of index that has no traced form."""


class ConcretizationError(TracejitError, TypeError):
    """Python asked for the value of an array that has only a type while `jit` traces."""


class EscapedTracerError(TracejitError, RuntimeError):
    """A tracer was used outside the trace that made it."""


class StaticArgumentError(TracejitError, TypeError):
    """An argument named in `static_argnames` that cannot be part of a key."""


class DonationError(TracejitError, ValueError):
    """Donated memory that another argument also uses."""


class GradError(TracejitError, TypeError):
    """`grad` of something that has no gradient: a loss that is no scalar, an integer argument."""


class UnrolledLoopWarning(UserWarning):
    """A line of a traced function made so many operations that it must be a loop, unrolled."""


class NanError(TracejitError, FloatingPointError):
    """`debug.check_nans()` met a nan."""


__all__ = [
    "ConcretizationError",
    "DTypeError",
    "DonationError",
    "EscapedTracerError",
    "GradError",
    "NanError",
    "ShapeError",
    "StaticArgumentError",
    "TracejitError",
    "UnboundedError",
    "UnrolledLoopWarning",
    "UnsupportedError",
]
