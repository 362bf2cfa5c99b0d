"""What this process has loaded, and whether a fresh process would load the same. Linux only.

A fresh process finds its modules by the folders of `sys.path`, in which `.pth` files may name more (docs.python.org:
site), and maps the shared libraries that they need (proc_pid_maps(5)). So each of these files counts by its identity,
size and time, and each folder by what in it could stand in the way of a module that was loaded.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Set

from gracehttp.system.threads import thread_count
from gracehttp.values import Value

FileIdentity = tuple[int, int, int, int]
"""Device, inode, size in bytes, modification time in nanoseconds."""

_OF_MODULES = (".py", ".so", ".pyc", "")
"""The ends of names that the import system looks for; a folder has none."""
_AT_EACH_START = frozenset({"sitecustomize", "usercustomize"})
"""Modules that `site` imports wherever there are such."""
_READ_AT_EACH_START = ("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime")
"""What the C library reads when a process begins: where libraries are (ld.so(8)), and the time zone (tzset(3))."""
_REPLACED = " (deleted)"
"""What proc_pid_maps(5) has behind the path of a file that is mapped, and by now another one or gone."""
_SLACK_SECONDS = 0.05
"""By how much the clock of a file may be late: the kernel stamps files and processes by its tick."""


class Loaded(Value):
    """`files` by path; None: there is no such file. `names`: what in a folder, by its path, could be imported in place
    of a module that is loaded, or is read at each start; the empty path is the working directory."""

    files: Mapping[str, FileIdentity | None]
    names: Mapping[str, frozenset[str]]


def loaded_now() -> Loaded:
    """What this process has loaded."""
    paths = {*_of_modules(), *_mapped(), *_READ_AT_EACH_START, *_of_openssl()}
    # The interpreter by its name, too: a link to another one may have its place.
    paths.update((sys.executable, os.path.join(sys.prefix, "pyvenv.cfg")))
    known = _known()
    names = {folder: _names_in(folder, known) for folder in ("", *sys.path)}
    paths.update(
        os.path.join(folder, name) for folder, found in names.items() for name in found if name.endswith(".pth")
    )
    paths.update(folder for folder in sys.path if os.path.isfile(folder))  # an archive (PEP 273)
    return Loaded({path: _identity(path) for path in paths}, names)


def looked_up_again(before: Loaded) -> Loaded:
    """The same files and folders as they are now."""
    known = _known()
    return Loaded(
        {path: _identity(path) for path in before.files}, {folder: _names_in(folder, known) for folder in before.names}
    )


def difference(before: Loaded, now: Loaded) -> str:
    """What a fresh process would load otherwise, as a clause; "" if nothing. `now` has the same files and folders."""
    for path, identity in before.files.items():
        if now.files[path] != identity:
            return f"{path} has changed"
    for folder, names in before.names.items():
        if now.names[folder] != names:
            which = min(names ^ now.names[folder])
            return f"{os.path.join(folder, which)} has come or gone"
    return ""


def unfit(loaded: Loaded, channel: int = -1) -> str:
    """Why this process can't stand for a fresh one, "" if it can. It has the descriptor `channel` to itself."""
    if any(not os.path.isabs(folder) for folder in sys.path):
        return "sys.path depends on the working directory"
    if _is_watched():
        return "its interpreter is traced"
    if (others := thread_count()) > 1:
        return f"it has {others} threads, and fork copies one"
    if others_open := _opened(channel):
        return f"it has {others_open} open, which its workers would share"
    return changed(loaded)


def changed(loaded: Loaded) -> str:
    """Why a file may have other contents than this process has loaded; "" if none may."""
    try:
        began = _began_at() - _SLACK_SECONDS
    except OSError as exc:  # no /proc, in a chroot(2) for example
        return f"nothing tells when it began ({exc.strerror})"
    for path in loaded.files:
        with contextlib.suppress(OSError):
            if os.stat(path).st_ctime > began:
                return f"{path} changed while it was loaded"
    return ""


def _of_modules() -> Iterator[str]:
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str):
            yield path


def _mapped() -> Iterator[str]:
    """The files that are mapped into memory: the interpreter, extension modules, shared libraries."""
    with contextlib.suppress(OSError), open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            path = line.rstrip("\n").partition("/")[2].removesuffix(_REPLACED)
            if path and os.path.isfile("/" + path):
                yield "/" + path


def _of_openssl() -> Iterator[str]:
    """The file of options that OpenSSL reads as soon as it is loaded (OPENSSL_init_crypto(3), config(5)). It lies in
    the same folder as the file of certificates."""
    given = os.environ.get("OPENSSL_CONF")
    yield given or os.path.join(os.path.dirname(ssl.get_default_verify_paths().openssl_cafile), "openssl.cnf")


def _known() -> Set[str]:
    """The first parts of the names of all modules that are loaded, or would be wherever they are found."""
    return {name.partition(".")[0] for name in sys.modules} | _AT_EACH_START


def _names_in(folder: str, known: Set[str]) -> frozenset[str]:
    try:
        return frozenset(_relevant(os.listdir(folder or "."), known))
    except OSError:
        return frozenset()


def _relevant(found: Iterable[str], known: Set[str]) -> Iterator[str]:
    for name in found:
        stem, dot, _rest = name.partition(".")
        end = os.path.splitext(name)[1] if dot else ""
        if name.endswith(".pth") or (stem in known and end in _OF_MODULES):
            yield name


def _identity(path: str) -> FileIdentity | None:
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return None
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def _is_watched() -> bool:
    """Whether a tracer, a profiler or a debugger has hooked itself into this interpreter."""
    monitoring = getattr(sys, "monitoring", None)  # Python 3.12
    tools = [monitoring.get_tool(number) for number in range(6)] if monitoring is not None else []
    return sys.gettrace() is not None or sys.getprofile() is not None or any(tools)


def _opened(channel: int) -> str:
    """What code that runs at each start has opened; "" if nothing. A device is the same one for all."""
    with contextlib.suppress(OSError):
        for number in sorted(map(int, os.listdir("/proc/self/fd"))):
            with contextlib.suppress(OSError):  # with that one the folder was read
                path = os.readlink(f"/proc/self/fd/{number}")
                if number > 2 and number != channel and not path.startswith("/dev/"):
                    return path
    return ""


def _began_at() -> float:
    """When this process was forked, as the clock of files has it."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - age
