"""Explicit-vector LLVM IR: values and builder, elementwise templates, vector mathematics."""
