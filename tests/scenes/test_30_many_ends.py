"""Many who are in leave at one moment: each hears why, none is forgotten, and every recording is sealed.

Windows that a manager takes back, sessions that one ends, and at last the clock.  tests/bench/ends does it with two
hundred, and a watch in its hand.
"""

import concurrent.futures

import pytest
from site_of_lodge import PATIENCE, wait_for

MANY = 25
COMING = 6  # at once
MARIA = 64211


@pytest.fixture(scope="module")
def crowd(site):
    """crowd(): so many of alice's sessions, in and with something running."""

    def one_comes(n):
        one = site.begin("alice+osv1", f"echo in; exec cat # {n}", options=("-T", "-o", f"BindAddress=127.0.0.{2 + n}"))
        assert one.stdout.readline() == b"in\n", one.stderr.read()
        return one

    def come():
        with concurrent.futures.ThreadPoolExecutor(COMING) as pool:
            return list(pool.map(one_comes, range(MANY)))

    return come


def ended(clients, reason):
    """Each ends with 124, and says this reason in one line."""
    for one in clients:
        one.wait(PATIENCE)  # not communicate(): what runs there would see the end of its input
        err = one.stderr.read()
        lines = [line for line in err.decode().splitlines() if line.startswith("lodge: ended [")]
        assert (one.returncode, len(lines)) == (124, 1), (one.returncode, err)
        assert f"[{reason}]" in lines[0], err


def left(site, sealed):
    wait_for(lambda: not site.sessions(), "the end of their processes")
    wait_for(lambda: not site.target_processes("cat"), "the end of what ran on osv1")
    assert {r["state"] for r in site.sealed(sealed)} == {"whole"}


def test_a_window_is_taken_back(site, crowd):
    number = site.granted("1h")
    clients = crowd()
    done = site.lodge("revoke", str(number), "--why", "enough", uid=MARIA)
    assert done.returncode == 0, done.stderr
    ended(clients, "revoked")
    left(site, MANY)


def test_the_clock_and_before_it_a_manager(site, crowd):
    site.granted("1h")
    given = site.now()
    clients = crowd()
    done = site.lodge("end", "--all", uid=MARIA)
    assert (done.returncode, f"{MANY} sessions are cut off" in done.stdout) == (0, True), done.stdout + done.stderr
    ended(clients, "ended")
    left(site, 2 * MANY)
    clients = crowd()  # the window is open still
    site.turn_to(given + 3600)  # not far beyond: gateway kills what is in two seconds later
    ended(clients, "window-ended")
    left(site, 3 * MANY)
    actions = [e["event"]["action"] for e in site.events()]
    assert actions.count("visit.begun") == actions.count("visit.ended") == 3 * MANY
    site.verb("otto", "verify", "--all")
