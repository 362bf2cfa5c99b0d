import pytest

from gracehttp.http.head import split_target


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query", "authority"),
    [
        (b"/", "/", b"/", b"", None),
        (b"/a/b?c=d?e", "/a/b", b"/a/b", b"c=d?e", None),
        (b"/a%20b%2Fc", "/a b/c", b"/a%20b%2Fc", b"", None),
        (b"/%E2%82%AC", "/€", b"/%E2%82%AC", b"", None),
        (b"/%FF", "/\ufffd", b"/%FF", b"", None),
        (b"/?%41", "/", b"/", b"%41", None),
        (b"//x/y", "//x/y", b"//x/y", b"", None),
        (b"*", "*", b"*", b"", None),
        (b"http://host/p?q", "/p", b"/p", b"q", b"host"),
        (b"http://host:80", "/", b"/", b"", b"host:80"),
        (b"http://host?q", "/", b"/", b"q", b"host"),
        (b"https://user:pw@host/p", "/p", b"/p", b"", b"user:pw@host"),
        (b"http://host/p?u=http://x@y/", "/p", b"/p", b"u=http://x@y/", b"host"),
        (b"/a#b", "/a", b"/a", b"", None),
        (b"/a#b?c", "/a", b"/a", b"", None),
        (b"/a?b#c", "/a", b"/a", b"b", None),
    ],
)
def test_target_is_split_into_the_parts_that_applications_want(target, path, raw_path, query, authority):
    assert split_target(target) == (path, raw_path, query, authority)
