"""The graph IR: types, primitives with all their rules, autodiff, passes, text, interpreter."""
