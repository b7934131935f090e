"""Finds the packages of the three layers; all else is in pyproject.toml.

`tracejit` holds links to the other two folders. They are left out here and the folders taken under
their installed names, so each file is packed once, and a tree without links (an unpacked sdist,
a checkout on a system that has none) builds the same wheel.
"""

from setuptools import find_packages, setup


def layer(name: str, folder: str, exclude: tuple[str, ...] = ()) -> list[str]:
    """The package `name` that lies in `folder`, with its sub-packages."""
    return [name, *(f"{name}.{package}" for package in find_packages(folder, exclude=exclude))]


setup(
    packages=[
        *layer("tracejit", "tracejit", exclude=("ir", "ir.*", "codegen", "codegen.*")),
        *layer("tracejit.ir", "ir"),
        *layer("tracejit.codegen", "codegen"),
    ]
)
