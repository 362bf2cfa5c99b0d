"""What `--access-log-format` takes, and what it refuses with a sentence."""

from __future__ import annotations

import pytest

from gracehttp.config.access_format import ATOMS, FIELDS, AccessFormat, read_access_format
from gracehttp.config.readers import UnreadableError


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("log", AccessFormat("log")),
        ("json", AccessFormat("json", FIELDS)),
        ("json: status ,method,", AccessFormat("json", ("status", "method"))),
        ("%(h)s", AccessFormat("text", pieces=("", "h", ""))),
        ("a %(h)s%(status)s b", AccessFormat("text", pieces=("a ", "h", "", "status", " b"))),
        ("100%% %({User-Agent}i)s", AccessFormat("text", pieces=("100% ", "{user-agent}i", ""))),
        ("common", read_access_format('%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s')),
        ("combined", read_access_format('%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"')),
    ],
)
def test_formats(text, form):
    assert read_access_format(text) == form


@pytest.mark.parametrize("name", [*ATOMS, *FIELDS])
def test_each_atom_and_each_field_can_stand_in_a_format_string(name):
    assert read_access_format(f"%({name})s").pieces == ("", name, "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("combind", "a format string such as"),
        ("json:", "a choice of method"),
        ("json:status,colour", "a choice of method"),
        ("%(x)s", "%(x)s isn't known"),
        ("%h", "write %% for a percent sign"),
        ("%", "write %% for a percent sign"),
        ("%(h)d", "write %% for a percent sign"),
        ("%({content-type}o)s", "aren't known here"),
        ("%({wsgi.version}e)s", "aren't known here"),
        ("%({a b}i)s", "isn't known"),
    ],
)
def test_what_is_no_format_is_refused_with_the_reason(text, why):
    with pytest.raises(UnreadableError) as refused:
        read_access_format(text)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("json:", ""),
        ("json:status,colour,taste", "there is no field colour and taste"),
        ("json:time,status", "leave time out: each object has it"),
        ("json:time,colour", "there is no field colour; leave time out: each object has it"),
    ],
)
def test_a_field_that_there_is_not_is_named(text, hint):
    with pytest.raises(UnreadableError) as refused:
        read_access_format(text)
    assert refused.value.hint == hint
