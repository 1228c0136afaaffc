"""Three hands end a visit, and each does it alone: the session's own timer, policy's order, gateway's kill.

The other two are held still with SIGSTOP, or by a clock that only one process sees turned.  Stepping the wall clock
back lengthens nothing.  A manager can end sessions now.
"""

import os
import signal
import time

import pexpect
import pytest
from site_of_lodge import wait_for


@pytest.fixture
def s(make_site):
    one = make_site("--no-code")
    one.granted("1h")
    return one


class held:
    """Processes that stand still for a while."""

    def __init__(self, *pids):
        self.pids = pids

    def __enter__(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)

    def __exit__(self, *what):
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass  # the third hand


def ended(shell, reason, status=124):
    shell.expect_exact(f"[{reason}]")
    shell.expect(pexpect.EOF)
    shell.wait()
    assert shell.exitstatus == status


def test_the_sessions_own_timer(s):
    shell = s.shell()
    with held(s.pid("policy"), s.gateway.pid):
        s.turn(3600)
        ended(shell, "window-ended")
        wait_for(lambda: not s.target_processes("bash"), "the end of her shell on osv1")


def test_policys_order(s):
    shell = s.shell()
    # a clock of its own for a policy that is started now: session and gateway go on with the old one
    s.clock.rename(s.clock.with_suffix(".old"))
    s._clock_write()
    s.clock.chmod(0o644)
    s.kill("policy")
    wait_for(lambda: s.lodge("status").returncode == 0, "the new policy")
    with held(s.gateway.pid):
        s.turn(3600)
        ended(shell, "window-ended")


def test_gateways_kill(s):
    shell = s.shell()
    (session,) = s.sessions()
    with held(s.pid("policy"), session):
        began = s.now()
        s.turn(3600 + 3)
        wait_for(lambda: not s.sessions(), "gateway's kill", 5)
        assert s.now() - began < 3600 + 3 + 5
    shell.expect(pexpect.EOF)
    shell.wait()
    assert shell.exitstatus == 255
    wait_for(lambda: not s.target_processes("bash"), "the end of her shell on osv1")
    # what was in its ring is not lost
    (row,) = s.sealed(1)
    assert s.ssh("otto", "verify", str(row["number"])).returncode == 0
    assert row["reason"] == "session-died"


def test_a_clock_set_back_lengthens_nothing(s):
    shell = s.shell()
    s.turn(-7200, boot=False)
    s.turn(3600, wall=False)
    ended(shell, "window-ended")


def test_a_clock_set_on_ends_it_too(s):
    shell = s.shell()
    s.turn(3601, boot=False)
    ended(shell, "window-ended")
    assert s.events(action="clock.step")


def test_a_manager_ends_sessions(s):
    first = s.shell()
    number = str(s.json("maria", "sessions")[0]["session"])
    second = s.shell()
    s.verb("maria", "end", number, "--why", "maintenance")
    ended(first, "ended")
    second.sendline("echo still $((40+2))")
    second.expect_exact("still 42")
    s.verb("maria", "end", "--vendor", "unify", "--why", "all of them")
    ended(second, "ended")
    wait_for(lambda: not s.target_processes("bash"), "the end of both shells")
    assert len(s.events(action="session.end-ordered")) >= 2


def test_warnings_come_before_the_end(s):
    shell = s.shell()
    start = s.now()
    for minutes in (30, 15, 5, 1):
        s.turn_to(start + 3600 - 60 * minutes + 1)
        shell.expect(r"lodge: [^\r\n]*(ends?|left)[^\r\n]*")
    assert shell.isalive()
    # not into the alternate screen
    shell.sendline("printf '\\033[?1049h'; sleep 1; printf '\\033[?1049l'")
    shell.expect_exact(f"{s.account}@osv1:")


def test_extend_keeps_her_in(s):
    shell = s.shell()
    start = s.now()
    s.turn_to(start + 3540)
    s.verb("maria", "extend", "1", "--for", "30m")
    s.turn_to(start + 3700)
    shell.sendline("echo still $((40+2))")
    shell.expect_exact("still 42")


def test_new_channels_on_an_old_connection_ask_anew(s):
    path = s.dir / "mux"
    master = s.begin("alice+osv1", options=("-MNT", "-o", f"ControlPath={path}"))
    wait_for(path.exists, "the master's socket")
    options = ("-T", "-o", f"ControlPath={path}")
    assert s.ssh("alice+osv1", "echo in", options=options).stdout == b"in\n"
    s.verb("maria", "revoke", "1", "--why", "enough")
    again = s.begin("alice+osv1", "echo in", options=options)
    line = again.stderr.readline()
    assert b"asked of maria" in line or b"[no-grant]" in line or b"[revoked]" in line, line
    again.kill()
    master.kill()
