"""As which user and group workers run (credentials(7)).

The names are looked up once, in the supervisor: a child between fork(2) and execve(2) only makes system calls.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from collections.abc import Iterator

from gracehttp.errors import ConfigurationError
from gracehttp.hints import Named, hint
from gracehttp.values import Value


class Credentials(Value):
    """What a process becomes. `groups` are the supplementary ones. `name` is for messages."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    variables: tuple[tuple[str, str], ...] = ()
    """HOME, USER and LOGNAME of the user, which programs take to be right."""

    def assume(self) -> None:
        """Become it, for good. Raises `OSError`."""
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


@contextlib.contextmanager
def rights_of(credentials: Credentials | None) -> Iterator[None]:
    """Have the rights of that account alone (seteuid(2)), for what this process opens meanwhile. A link that the
    account has put in its folder must not lead to what only root may write. None: change nothing."""
    if credentials is None:
        yield
        return
    groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
    os.setgroups(credentials.groups)
    os.setegid(credentials.gid)
    os.seteuid(credentials.uid)
    try:
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)
        os.setgroups(groups)


def credentials_of(user: str | None, group: str | None) -> Credentials | None:
    """What workers become with the options `user` and `group`, names or numbers. None: what this process is already.

    Raises `ConfigurationError` if there is no such user or group, or if this process may not become it.
    """
    if user is None and group is None:
        return None
    account, gid = look_up(user, group)
    uid = os.geteuid() if user is None else account.pw_uid if account is not None else int(user)
    if os.geteuid() != 0:
        if uid == os.geteuid() and gid == os.getegid():
            return None
        raise ConfigurationError(
            f"only root can run workers as {_shown(user, group)}, and this process is user {os.geteuid()}.",
            hint=hint(
                "start it as root; or as that user, without {} and {}, and have ports below 1024 opened for it "
                "(fd://3, or CAP_NET_BIND_SERVICE)",
                Named("user"),
                Named("group"),
            ),
        )
    groups = tuple(os.getgrouplist(account.pw_name, gid)) if account is not None else (gid,)
    variables = (
        (("HOME", account.pw_dir), ("USER", account.pw_name), ("LOGNAME", account.pw_name))
        if account is not None
        else ()
    )
    return Credentials(uid, gid, groups, _shown(user, group), variables)


def look_up(user: str | None, group: str | None) -> tuple[pwd.struct_passwd | None, int]:
    """The account of `user`, None if it has none, and the number of the group: that of `group`, else of the account.

    One of the two must be given. Raises `ConfigurationError` if the system doesn't know them.
    """
    account = _account(user) if user is not None else None
    if group is not None:
        return account, _gid(group)
    if account is not None:
        return account, account.pw_gid
    raise ConfigurationError(
        f"the user {user} is not known to this system, so its group isn't either.",
        hint=hint("give {} too", Named("group")),
    )


def _account(user: str) -> pwd.struct_passwd | None:
    """The account of `user`; None for a number that has none. Raises `ConfigurationError` for a name without one."""
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        if user.isdecimal():
            return None
        raise ConfigurationError(f"there is no user {user!r}.", hint=hint("see {}", Named("user"))) from None


def _gid(group: str) -> int:
    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigurationError(f"there is no group {group!r}.", hint=hint("see {}", Named("group"))) from None


def _shown(user: str | None, group: str | None) -> str:
    return " and ".join(f"{what} {name}" for what, name in (("user", user), ("group", group)) if name is not None)
