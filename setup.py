"""Builds the native libraries at install time where a C++ compiler is found; the rest is in pyproject.toml.

They are optional: without a compiler the install succeeds, and PyTorch and Python do their work.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError


def load_build() -> ModuleType:
    """kernels/native/build.py, by path: relforge's dependencies are not installed while it is being built."""
    spec = spec_from_file_location(
        "relforge_build", Path(__file__).parent / "kernels" / "native" / "build.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()


class BuildLibrary(build_ext):
    """Compile a library's sources with their own flags; it is plain C++, loaded by ctypes."""

    def build_extension(self, ext: Extension) -> None:
        library = next(library for library in build.LIBRARIES if ext.name.endswith(f"._{library.name}"))
        try:
            library.compile(Path(self.get_ext_fullpath(ext.name)))
        except (build.BuildError, OSError) as error:
            raise CompileError(str(error)) from error


def extension(package: str, name: str) -> Extension:
    sources = [str(path) for path in sorted(Path(package, "csrc").glob("*.cpp"))]
    return Extension(f"relforge.{package.replace('/', '.')}._{name}", sources, optional=True)


setup(
    ext_modules=[extension(library.package, library.name) for library in build.LIBRARIES],
    cmdclass={"build_ext": BuildLibrary},
)
