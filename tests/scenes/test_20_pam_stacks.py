"""The stacks of etc/pam.d through the whole house, with the real modules: what is asked, who gets in, and that nobody is
told which factor was wrong; passwords that expire, accounts that end, locks, and codes that are good once.

Engineers come by lodge-faillock, managers by lodge-password-totp, auditors by lodge-sssd, operators by lodge."""

import os
import re
import signal
import time

import pexpect
import pytest
from accounts_apart import Apart
from site_of_lodge import Site, wait_for

from conftest import kept

PASSWORD = "Password: "
CODE = "Verification code: "
GOOD = "correct horse battery"
BETTER = "Tr0ub4dor&3-staple"
# Whoever is asked for a password: a stack and a role each.
ROLES = {"lodge-faillock": "engineer", "lodge-password-totp": "manager", "lodge-sssd": "auditor"}
STACKS = list(ROLES)
SETTINGS = {
    "PAMService": "lodge " + " ".join(f"{role}={stack}" for stack, role in ROLES.items()),
    "PAMSession": "yes",
    "PenaltyLeast": "0",
    "MFAGrace": "0",
}


@pytest.fixture(scope="module")
def a(request):
    """A site whose machine has accounts, and a directory of staff."""
    made, wrap = [], []

    def before(site):
        one = Apart(site)
        made.append(one)
        wrap.extend(one.wrap(one.house))
        one.sees_sessions()

    words = [word for pair in SETTINGS.items() for word in ("--set", "=".join(pair))]
    site = Site(*words, before=before, wrap=wrap)
    ending = kept(request, site)
    next(ending)
    made[0].sssd_start()
    yield made[0]
    made[0].sssd_end()
    next(ending, None)


def come(a, name, stack, password=GOOD):
    """Somebody of that stack's role, with an account where the stack looks for it."""
    where = a.staff if stack == "lodge-sssd" else a.house
    return a.person(name, ROLES[stack], password=password, where=where)


def reason_of(a, name):
    """The last attempt's, as the book has it."""

    def look():
        found = [e["event"] for e in a.events() if e["event"]["action"] == "login.attempt" and e["user"]["name"] == name]
        return found[-1]["reason"] if found else None

    return wait_for(look, f"an attempt of {name}")


@pytest.mark.parametrize("stack", STACKS)
def test_password_and_code(a, stack):
    """Two rounds, one prompt each; a wrong one is not told from the other."""
    name = come(a, "p" + ROLES[stack], stack)
    assert "help VERB" in a.let_in(name, (PASSWORD, GOOD), (CODE, a.code(name)))
    shown = a.all_refused(
        [
            (name, "wrong-code", (PASSWORD, "wrong"), (CODE, a.code(name))),
            (name, "wrong-code", (PASSWORD, GOOD), (CODE, "000000")),
            (name, "wrong-code", (PASSWORD, "wrong"), (CODE, "000000")),
        ]
    )
    assert len(set(shown)) == 1
    assert reason_of(a, name) == "wrong-code"


def test_a_code_is_good_once(a):
    """By every stack, also after auth was killed, and from another address."""
    names = [come(a, "c" + ROLES[stack], stack) for stack in STACKS]
    codes = {name: a.code(name) for name in names}
    for name in names:
        a.let_in(name, (PASSWORD, GOOD), (CODE, codes[name]))
    a.all_refused([(name, "replayed-code", (PASSWORD, GOOD), (CODE, codes[name])) for name in names])
    a.site.kill("auth")
    many = [a.login(name, (PASSWORD, GOOD), (CODE, codes[name]), options=("-o", "BindAddress=127.0.0.2")) for name in names]
    for one in many:
        one.expect(r"lodge: denied \[(replayed|wrong)-code\]")


def test_a_code_alone(a):
    """The stack `lodge`: for people without an account.  A code that was used before the clock was set back stays used."""
    name = a.person("olive", "operator")
    first = a.code(name)
    a.let_in(name, (CODE, first))
    a.let_in(name, (CODE, a.code(name)))
    a.refused(name, "replayed-code", (CODE, first))
    # pam_oath's clock is the machine's: instead of setting it back, its last use is put ahead of it
    users = a.site.dir / "pam/users.oath"
    text = users.read_text()
    ahead = time.strftime("%Y-%m-%dT%H:%M:%SL", time.localtime(time.time() + 600))
    used = re.sub(rf"(\s{name}\s.*\s)\S+L\n", rf"\g<1>{ahead}\n", text)
    assert used != text
    users.write_text(used)
    shown = a.refused(name, "clock-behind", (CODE, a.code(name)))
    assert "clock" in shown
    assert "the clock was set back; set it right" in a.site.log()
    assert users.read_text() == used
    users.write_text(text)
    a.let_in(name, (CODE, a.code(name)))


def test_nobody_there(a):
    """Somebody whom PAM does not know is asked like everybody else; the words and the reason are a wrong code's."""
    name = a.person("nina", "operator", coded=False)
    shown = a.all_refused([("olive", "wrong-code", (CODE, "000000")), (name, "wrong-code", (CODE, "000000"))])
    assert shown[0] == shown[1]


@pytest.mark.parametrize("stack", STACKS)
def test_an_expired_password_is_changed(a, stack):
    """Through ssh's keyboard-interactive, prompt by prompt; the old one is good no more.

    pam_sss asks for the new one, but sssd's relay to a PAM service cannot carry the change out for root: refused."""
    name = come(a, "x" + ROLES[stack], stack)
    staff = stack == "lodge-sssd"
    a.run("chage", "-d", "0", name, where=a.staff if staff else a.house)
    one = a.login(name, (PASSWORD, GOOD), (CODE, a.code(name)))
    if not staff:
        one.expect("(?i)current password:")
        one.sendline(GOOD)
    one.expect("(?i)new password:")
    one.sendline(BETTER)
    one.expect("(?i)(retype|reenter) new password:")
    one.sendline(BETTER)
    if staff:
        one.expect_exact("lodge: denied [pam-account]")
        return
    one.expect(pexpect.EOF)
    one.close()
    assert one.exitstatus == 0, one.before
    a.let_in(name, (PASSWORD, BETTER), (CODE, a.code(name)))
    a.refused(name, "wrong-code", (PASSWORD, GOOD), (CODE, a.code(name)))


def test_a_new_password_that_is_refused(a):
    """The module says why, in words; nothing is changed and nobody is let in."""
    name = come(a, "yves", "lodge-password-totp")
    a.run("chage", "-d", "0", name)
    shadow = (a.house / "etc/shadow").read_text()
    one = a.login(name, (PASSWORD, GOOD), (CODE, a.code(name)))
    one.expect("(?i)current password:")
    one.sendline("wrong")
    one.expect_exact("lodge: denied [pam-account]")
    assert (a.house / "etc/shadow").read_text() == shadow
    one = a.login(name, (PASSWORD, GOOD), (CODE, a.code(name)))
    one.expect("(?i)current password:")
    one.sendline(GOOD)
    one.expect("(?i)new password:")
    one.sendline("short")
    one.expect("(?i)retype new password:")
    one.sendline("short")
    one.expect("(?i)longer password")
    one.close(force=True)
    wait_for(lambda: "lodge-pam" not in a.site.children().values(), "the end of the conversation")
    assert (a.house / "etc/shadow").read_text() == shadow


@pytest.mark.parametrize("stack", ["lodge-faillock", "lodge-password-totp"])
def test_an_account_that_ended(a, stack):
    name = come(a, "e" + ROLES[stack], stack)
    a.run("chage", "-E", "0", name)
    a.refused(name, "pam-account", (PASSWORD, GOOD), (CODE, a.code(name)))
    assert reason_of(a, name) == "pam-account"


def test_faillock(a):
    """Three failures lock; --reset frees; without the key nobody fails for somebody else."""
    name = come(a, "fritz", "lodge-faillock")
    come(a, "stranger", "lodge-faillock")
    for _ in range(4):
        one = a.login(name, key="stranger")
        one.expect(pexpect.EOF)
        assert PASSWORD not in one.before and "Permission denied" in one.before
    assert a.failures(name) == 0
    a.all_refused(
        [
            (name, "wrong-code", (PASSWORD, "wrong"), (CODE, "000000")),
            (name, "wrong-code", (PASSWORD, GOOD), (CODE, "000000")),
            (name, "wrong-code", (PASSWORD, "wrong"), (CODE, a.code(name))),
        ]
    )
    assert a.failures(name) == 3
    one = a.login(name)
    one.expect_exact("account is locked due to 3 failed logins")
    one.expect_exact(PASSWORD)
    one.sendline(GOOD)
    one.expect_exact(CODE)
    one.sendline(a.code(name))
    one.expect_exact("lodge: denied [wrong-code]")
    a.failures(name, "--reset")
    a.let_in(name, (PASSWORD, GOOD), (CODE, a.code(name)))
    assert a.failures(name) == 0


@pytest.mark.parametrize("how", ["leaves", "killed"])
def test_a_pam_session_lasts_as_long_as_the_connection(a, how):
    name = come(a, "s" + how, "lodge-password-totp")
    one = a.login(name, (PASSWORD, GOOD), (CODE, a.code(name)), words=("events", "--follow"))
    wait_for(lambda: f"open_session {name}" in a.seen(), "the session's beginning")
    before = a.seen()
    assert f"open_session {name} lodge-password-totp 127.0.0.1 ssh\n" in before
    assert f"close_session {name}" not in before
    if how == "killed":
        for pid in a.site.sessions():
            os.kill(pid, signal.SIGKILL)
    else:
        one.close(force=True)
    wait_for(lambda: f"close_session {name} lodge-password-totp 127.0.0.1 ssh\n" in a.seen(), "the session's end")
    assert a.seen().count(f"close_session {name}") == 1


def test_pam_sessions_when_auth_dies(a):
    """They are closed; the connections go on."""
    name = come(a, "sam", "lodge-password-totp")
    one = a.login(name, (PASSWORD, GOOD), (CODE, a.code(name)), words=("events", "--follow"))
    wait_for(lambda: f"open_session {name}" in a.seen(), "the session's beginning")
    a.site.kill("auth")
    wait_for(lambda: f"close_session {name}" in a.seen(), "the session's end")
    wait_for(lambda: "lodge-pam" not in a.site.children().values(), "the end of lodge-pam")
    assert one.isalive()
    one.close(force=True)


def test_users_file_trouble(a):
    """Damaged, locked, left locked: nobody gets in who should not, the log names file and line, and it heals."""
    users = a.site.dir / "pam/users.oath"
    text = users.read_text()
    name = a.person("ulla", "operator")
    whole = users.read_text()
    users.write_text(whole.replace(f"HOTP/T30/6 {name} - ", f"HOTP/T30/6 {name} - xx"))
    a.refused(name, "wrong-code", (CODE, a.code(name)))
    number = len(text.splitlines()) + 1
    assert f"{users}:{number}: the secret is not in hexadecimal" in a.site.log()
    users.write_text(whole)
    lock = users.with_name("users.oath.lock")
    lock.touch()  # as a process that was killed in the middle leaves it: pam_oath would refuse everybody for ever
    a.let_in(name, (CODE, a.code(name)))
    assert not lock.exists()
    assert "users.oath.lock was left behind" in a.site.log()


def test_without_the_directory(a):
    """sssd is gone: its people wait outside, the others come and go.  (It does not come back.)"""
    name = come(a, "dora", "lodge-sssd")
    a.sssd_end()
    a.refused(name, "pam-trouble", (PASSWORD, GOOD), (CODE, a.code(name)))
    assert reason_of(a, name) == "pam-trouble"
    name = a.person("otis", "operator")
    a.let_in(name, (CODE, a.code(name)))


def test_at_the_end_of_the_house(a):
    """Whoever is still in has their PAM session closed before the house is empty.  (The last scene.)"""
    name = come(a, "lena", "lodge-password-totp")
    a.login(name, (PASSWORD, GOOD), (CODE, a.code(name)), words=("events", "--follow"))
    wait_for(lambda: f"open_session {name}" in a.seen(), "the session's beginning")
    a.site.gateway.terminate()
    assert a.site.gateway.wait(30) == 0
    assert f"close_session {name} lodge-password-totp 127.0.0.1 ssh\n" in a.seen()
