"""Compiles the hot path with Cython when gracehttp is installed; all else stands in pyproject.toml.

The `.py` files are compiled as they stand, each with the `.pxd` file beside it, which gives types to its classes. Where
that can't be done, gracehttp is installed nevertheless, and runs interpreted. A record says which of the two it was,
and why (`gracehttp.compiled` reads it). `GRACEHTTP_COMPILED=off pip install ...` compiles nothing, and
`GRACEHTTP_COMPILED=require` fails where it can't.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import sys
import sysconfig
import tempfile
import zlib
from collections.abc import Callable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = Path("src")
C_FILES = Path("build", "cython")
RECORD = f"compiled{EXTENSION_SUFFIXES[0]}.json"  # see gracehttp.compiled
CHOICE = os.environ.get("GRACEHTTP_COMPILED") or "auto"
LONGEST_DETAILS = 4000
MODULES = [
    "gracehttp.net.endpoints",
    "gracehttp.net.shared_permits",
    "gracehttp.net.acceptor",
    "gracehttp.net.poller",
    "gracehttp.net.deadlines",
    "gracehttp.net.progress",
    "gracehttp.net.ending",
    "gracehttp.net.time_slice",
    "gracehttp.net.stream",
    "gracehttp.net.tls_stream",
    "gracehttp.http.head",
    "gracehttp.http.fields",
    "gracehttp.http.server_fields",
    "gracehttp.http.body",
    "gracehttp.http.exchange",
    "gracehttp.http.forwarded",
    "gracehttp.http.connection",
    "gracehttp.http.request_counter",
    "gracehttp.http.http1.checks",
    "gracehttp.http.http1.parser",
    "gracehttp.http.http1.body_parser",
    "gracehttp.http.http1.response",
    "gracehttp.http.http1.response_body",
    "gracehttp.http.http1.protocol",
    "gracehttp.http.http2.engine",
    "gracehttp.http.http2.guard",
    "gracehttp.http.http2.requests",
    "gracehttp.http.http2.responses",
    "gracehttp.http.http2.stream",
    "gracehttp.http.http2.protocol",
    "gracehttp.applications.asgi.first_steps",
    "gracehttp.applications.asgi.requests",
    "gracehttp.applications.asgi.application",
    "gracehttp.applications.wsgi.in_flight",
    "gracehttp.applications.wsgi.loop_calls",
    "gracehttp.applications.wsgi.threads",
    "gracehttp.applications.wsgi.headers",
    "gracehttp.applications.wsgi.environ",
    "gracehttp.applications.wsgi.response",
    "gracehttp.applications.wsgi.application",
    "gracehttp.applications.wsgi.on_loop",
    "gracehttp.worker.connections",
]
# Of these, compiled modules take the functions in C that stand in the `.pxd`; interpreted ones import the `.py`.
SHARED = [
    "gracehttp.net.system_calls",
    "gracehttp.http.http1.framing",
    "gracehttp.http.http1.octets",
    "gracehttp.applications.interpreter_calls",
]
DIRECTIVES = {
    "language_level": 3,
    # What the annotations say to mypy is no promise about the values of an application. Types stand in `.pxd` files.
    "annotation_typing": False,
}


class CanNotCompile(Exception):
    """`reason` is why, as the record tells it; `details` is what the compiler said."""

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(f"{reason}\n{details}".strip())
        self.reason = reason
        self.details = details[-LONGEST_DETAILS:]


class CompileOrSayWhyNot(build_ext):
    """Leaves the extension modules and the record beside the sources, also in the folder of an editable install."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self) -> None:
        sources: list[Path] = []
        reason = details = ""
        package = SOURCES / "gracehttp" if self.inplace else Path(self.build_lib, "gracehttp")
        try:
            need_a_compiler()
            with said_by_the_compiler() as said:
                try:
                    give_c_files(self.extensions)
                    super().run()
                except CanNotCompile:
                    raise
                except Exception as error:  # whatever a compiler comes upon: the interpreted build is there
                    raise CanNotCompile("compiling it failed when it was installed", f"{said()}\n{error}") from error
            sources = [path for one in MODULES + SHARED for path in source_and_types(one)]
        except CanNotCompile as error:
            if CHOICE == "require":
                raise
            self.warn(f"gracehttp will run interpreted: {error}")
            reason, details = error.reason, error.details
            self.drop_extensions()
        write_record(package, reason, details, sources)

    def drop_extensions(self) -> None:
        """Some may have been compiled, and are of no use without the others."""
        for one in self.extensions:
            Path(self.get_ext_fullpath(one.name)).unlink(missing_ok=True)
            Path(self.build_lib, self.get_ext_filename(one.name)).unlink(missing_ok=True)
        self.extensions = []


def need_a_compiler() -> None:
    """Compile what is nothing but the headers of Python. Raises `CanNotCompile`, also if nothing is to be compiled."""
    from setuptools._distutils.ccompiler import new_compiler
    from setuptools._distutils.sysconfig import customize_compiler

    if CHOICE == "off":
        raise CanNotCompile("GRACEHTTP_COMPILED=off when it was installed")

    compiler = new_compiler()
    customize_compiler(compiler)
    command = getattr(compiler, "compiler_so", ["cc"])[0]
    if shutil.which(command) is None:
        raise CanNotCompile("no C compiler was found when it was installed", f"There is no {command}.")
    with tempfile.TemporaryDirectory() as folder, said_by_the_compiler() as said:
        source = Path(folder, "headers.c")
        source.write_text("#include <Python.h>\n")
        try:
            compiler.compile([str(source)], output_dir=folder, include_dirs=[sysconfig.get_path("include")])
        except Exception as error:
            reason = "the headers of Python (Python.h) were not found when it was installed"
            raise CanNotCompile(reason, f"{said()}\n{error}") from error


def give_c_files(extensions: list[Extension]) -> None:
    """Make C files of the Python ones that the extensions have, and replace those.

    They are made in the folder of the sources: a traceback names a file as Cython was given it, and Python looks for
    such a path in `sys.path`.
    """
    try:
        from Cython.Build import cythonize
    except ImportError as error:
        raise CanNotCompile("Cython was missing when it was installed", str(error)) from error
    # Cython doesn't see that a module has changed whose functions in C are compiled into others.
    shared = [path for one in SHARED for path in source_and_types(one)]
    changed = max(path.stat().st_mtime for path in [Path(__file__), *shared])
    made_before = [C_FILES / one.sources[0].removeprefix("src/").replace(".py", ".c") for one in extensions]
    stale = any(one.exists() and one.stat().st_mtime < changed for one in made_before)
    relative = [Extension(one.name, [os.path.relpath(one.sources[0], SOURCES)]) for one in extensions]
    with contextlib.chdir(SOURCES):
        folder = os.path.relpath(C_FILES, SOURCES)
        # Where a process can be forked: elsewhere each would run this file anew.
        processes = os.cpu_count() or 0 if multiprocessing.get_start_method() == "fork" else 0
        made = cythonize(relative, build_dir=folder, force=stale, nthreads=processes, compiler_directives=DIRECTIVES)
    for one, of_c in zip(extensions, made, strict=True):
        one.sources = [os.path.normpath(SOURCES / source) for source in of_c.sources]
        one.extra_compile_args = ["-O2", "-g0", "-w"]  # warnings about generated code help no one


@contextlib.contextmanager
def said_by_the_compiler() -> Iterator[Callable[[], str]]:
    """What its processes write to standard error within the block; it is written there after all."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)

        def said() -> str:
            sys.stderr.flush()
            file.seek(0)
            return file.read().decode(errors="replace")

        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            sys.stderr.write(said())


def write_record(package: Path, reason: str, details: str, sources: list[Path]) -> None:
    """See `gracehttp.compiled.RECORD`."""
    checksums = {path.relative_to(SOURCES / "gracehttp").as_posix(): zlib.crc32(path.read_bytes()) for path in sources}
    package.mkdir(parents=True, exist_ok=True)
    modules = [source_and_types(one)[0] for one in MODULES]
    names = [path.relative_to(SOURCES / "gracehttp").as_posix() for path in modules if path in sources]
    record = {"reason": reason, "details": details, "sources": checksums, "modules": names}
    (package / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def source_and_types(module: str) -> list[Path]:
    """The files of a module: its `.py`, and its `.pxd` if there is one."""
    source = SOURCES / Path(*module.split(".")).with_suffix(".py")
    return [source, *(types for types in [source.with_suffix(".pxd")] if types.exists())]


setup(
    ext_modules=[Extension(one, [source_and_types(one)[0].as_posix()]) for one in MODULES],
    cmdclass={"build_ext": CompileOrSayWhyNot},
)
