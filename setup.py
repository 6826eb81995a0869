"""Builds the native CPU kernel at install time where a C++ compiler is found; the rest is in pyproject.toml.

The extension is optional: without a compiler the install succeeds and the PyTorch twin runs instead.
"""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError


def kernel_build() -> ModuleType:
    """kernels/build.py, by path: relforge's dependencies are not installed while it is being built."""
    spec = spec_from_file_location("relforge_kernel_build", Path(__file__).parent / "kernels" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class BuildKernel(build_ext):
    """Compile the kernel's sources with their own flags; it is a plain shared library, loaded by ctypes."""

    def build_extension(self, ext: Extension) -> None:
        build = kernel_build()
        try:
            build.compile_library(Path(self.get_ext_fullpath(ext.name)))
        except (build.BuildError, OSError) as error:
            raise CompileError(str(error)) from error


sources = [str(path) for path in sorted(Path("kernels/csrc").glob("*.cpp"))]
setup(
    ext_modules=[Extension("relforge.kernels._msda", sources, optional=True)],
    cmdclass={"build_ext": BuildKernel},
)
