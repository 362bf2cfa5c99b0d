"""The request target (RFC 9112 section 3.2) in the parts that applications want. Pure."""

from __future__ import annotations

from urllib.parse import unquote

_NUMBER_SIGN = ord("#")  # not b"#": to look for bytes in bytes, Python raises and drops a TypeError first


def split_target(target: bytes) -> tuple[str, bytes, bytes, bytes | None]:
    """Path (decoded), raw path, query string, and the authority if the target has one (absolute-form).

    The parser guarantees ASCII, and one of the forms `/path?query`, `scheme://authority/path?query` and `*`.
    A fragment, which has no place in a target, is cut off.
    """
    authority = None
    if target[:1] != b"/" and target != b"*":
        authority, target = _split_absolute(target)
    raw_path, _, query = target.partition(b"?")
    if _NUMBER_SIGN in target:
        raw_path, fragment, _ = raw_path.partition(b"#")
        query = b"" if fragment else query.partition(b"#")[0]
    path = raw_path.decode("ascii")
    if "%" in path:
        path = unquote(path)
    return path, raw_path, query, authority


def _split_absolute(target: bytes) -> tuple[bytes, bytes]:
    rest = target.partition(b"://")[2]
    end = min((at for at in (rest.find(b"/"), rest.find(b"?"), rest.find(b"#")) if at >= 0), default=len(rest))
    authority = rest[:end].rpartition(b"@")[2]  # no user information in Host (RFC 9110 section 4.2.4)
    path = rest[end:]
    return authority, path if path.startswith(b"/") else b"/" + path
