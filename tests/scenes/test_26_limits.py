"""One address that opens connections and does not log in keeps nobody else out.

It gets its share of places, and is told why it gets no more; what runs into LoginGraceTime, or crashes a session's process,
makes it wait, and it alone.  Several addresses together are thinned out by chance before the places are gone.
"""

import os
import re
import signal
import socket

import pytest
from site_of_lodge import wait_for

SITE_WORDS = ("--no-code", "--set", "MaxStartups=40", "--set", "PerSourceMaxStartups=10",
              "--set", "PerSourceMaxConnections=12")
FLOOD, OTHER = "127.0.0.1", "127.0.0.2"
GRACE = 61  # seconds: more than LoginGraceTime; on the boot clock alone, for the target's sshd lives by the wall's


@pytest.fixture(scope="module")
def s(site):
    site.granted()
    return site


@pytest.fixture
def knock(s):
    """knock(address): a connection from there that says nothing, and the first line it was told."""
    doors = []

    def one(address):
        door = socket.create_connection(("127.0.0.1", s.port), timeout=20, source_address=(address, 0))
        doors.append(door)
        line = b""
        while not line.endswith(b"\n"):
            byte = door.recv(1)
            assert byte, f"closed after {line!r}"
            line += byte
        if not line.startswith(b"SSH-2.0-"):
            assert door.recv(1) == b""
        return line.decode()

    yield one
    for door in doors:
        door.close()
    wait_for(lambda: not s.sessions(), "the end of the sessions that nobody wants any more")


def is_in(line):
    return line.startswith("SSH-2.0-")


def from_there(address):
    return ("-T", "-o", f"BindAddress={address}")


def works_from(s, address):
    done = s.ssh("alice+osv1", "echo alive", options=from_there(address))
    assert (done.returncode, done.stdout) == (0, b"alive\n"), done.stderr


def test_half_open_ones_from_one_address(s, knock):
    told = [knock(FLOOD) for _ in range(30)]
    assert all(map(is_in, told[:10])), told
    assert set(told[10:]) == {f"lodge: too many connections from one address that have not logged in ({FLOOD}); wait\r\n"}
    works_from(s, OTHER)
    assert not is_in(knock(FLOOD))
    said = s.ssh("alice+osv1", "true", options=(*from_there(FLOOD), "-v"))
    assert said.returncode == 255 and b"too many connections from one address" in said.stderr, said.stderr
    assert len(re.findall(f"refused, .* from {FLOOD}", s.log())) == 1, "the log is flooded, too"


def test_each_place_that_is_left_is_free_again(s, knock):
    assert is_in(knock(FLOOD))
    works_from(s, FLOOD)


def test_all_connections_of_one_address(s, knock):
    inside = [s.begin("alice+osv1", "cat", options=from_there(OTHER)) for _ in range(3)]
    for one in inside:
        one.stdin.write(b"in\n")
        one.stdin.flush()
        assert one.stdout.readline() == b"in\n"
    told = [knock(OTHER) for _ in range(10)]
    assert all(map(is_in, told[:9])), told
    assert told[9] == f"lodge: too many connections from one address ({OTHER}); wait\r\n"
    for one in inside:
        one.stdin.close()
        assert one.wait(20) == 0


def test_many_addresses_are_thinned_out_and_the_places_have_an_end(s, knock):
    inside = refused = 0
    for n in range(1000):
        if inside == 40:
            break
        told = knock(f"127.0.1.{n % 8}")
        if is_in(told):
            inside += 1
        elif "one address" not in told:
            assert inside >= 20, "refused by chance below half of MaxStartups"
            assert re.fullmatch(r"lodge: too many connections that have not logged in \(.*\); wait\r\n", told)
            refused += 1
    assert inside == 40 and refused > 0
    assert not is_in(knock(OTHER))


def test_a_crash_makes_its_source_wait(s, knock):
    assert is_in(knock("127.0.2.1"))
    (session,) = s.sessions()
    os.kill(session, signal.SIGABRT)
    wait_for(lambda: not s.sessions(), "the end of the session")
    assert knock("127.0.2.1") == "lodge: too much went wrong with connections from one address (127.0.2.1); wait\r\n"
    works_from(s, OTHER)
    s.turn(65, wall=False)
    assert is_in(knock("127.0.2.1"))
    (session,) = s.sessions()
    os.kill(session, signal.SIGABRT)
    wait_for(lambda: not s.sessions(), "the end of the session")
    s.turn(65, wall=False)
    assert not is_in(knock("127.0.2.1")), "the second wait is longer"
    s.turn(600, wall=False)
    assert is_in(knock("127.0.2.1"))


def test_who_does_not_log_in_in_time_waits(s, knock):
    assert all(is_in(knock(FLOOD)) for _ in range(10))
    s.turn(GRACE, wall=False)
    wait_for(lambda: not s.sessions(), "the end of those that did not log in")
    assert knock(FLOOD) == f"lodge: too much went wrong with connections from one address ({FLOOD}); wait\r\n"
    works_from(s, OTHER)
    s.turn(17, wall=False)  # ten of them, five for nothing: 2^4 s
    works_from(s, FLOOD)
