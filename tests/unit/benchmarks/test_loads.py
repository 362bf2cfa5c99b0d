"""What wrk is asked, and what it says."""

from __future__ import annotations

import pytest

from benchmarks.loads import GET, Answered, Request, understood_wrk, wrk_script
from benchmarks.session import BenchmarkFailed

SAID = """Running 1s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.54ms    0.97ms  10.12ms   69.71%
    Req/Sec    24.95k     2.75k   28.24k    70.00%
  24836 requests in 1.00s, 3.08MB read
{errors}Requests/sec:  24790.32
Transfer/sec:      3.07MB
"""


def test_requests_and_their_rate_are_read():
    assert understood_wrk(SAID.format(errors="")) == Answered(24836, 24790.32)


def test_broken_connections_count_as_failed_and_late_answers_do_not():
    errors = "  Socket errors: connect 1, read 20, write 300, timeout 4000\n"
    assert understood_wrk(SAID.format(errors=errors)).failed == 321


def test_answers_that_are_errors_are_no_measurement():
    with pytest.raises(BenchmarkFailed, match="Non-2xx or 3xx responses: 7"):
        understood_wrk(SAID.format(errors="  Non-2xx or 3xx responses: 7\n"))


def test_no_answer_is_no_measurement():
    with pytest.raises(BenchmarkFailed):
        understood_wrk(SAID.replace("24836 requests", "0 requests").format(errors=""))


def test_a_script_is_written_for_what_options_cannot_say():
    assert wrk_script(GET) == ""
    assert wrk_script(Request(headers=("Accept: */*",))) == ""
    assert 'wrk.body = "{\\"a\\": 1}"' in wrk_script(Request(body='{"a": 1}'))
    assert "string.rep(wrk.format(), 16)" in wrk_script(Request(pipelined=16))
