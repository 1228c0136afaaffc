"""PAM modules that do what no module should (tests/pam/pam_bad.c): nobody gets in by them who did not answer, each attempt
has its reason in the book, somebody else comes and goes meanwhile, and nothing of them is left behind.

Engineers come by the bad stack; managers by their key alone, their account by the stack `lodge`."""

import os

import paramiko
import pexpect
import pytest
from site_of_lodge import BUILD, wait_for

TIMEOUT = 4  # seconds; of real time, for it is the kernel that ends a conversation
SITE_WORDS = (
    *("--set", "PAMService=lodge engineer=bad", "--set", f"PAMTimeout={TIMEOUT}s", "--set", "PenaltyLeast=0"),
    *("--set", "AuthenticationMethods=publickey,keyboard-interactive manager=publickey", "--set", "MFAGrace=0"),
)
WORD = ("Word: ", "sesame")
MADE_UP = ("Verification code: ", "000000")
IN = None


@pytest.fixture(scope="module")
def s(request):
    from conftest import kept
    from site_of_lodge import Site

    # a crash of a module is to be one, and not the sanitizer's
    yield from kept(request, Site(*SITE_WORDS, env={"ASAN_OPTIONS": "handle_segv=0:handle_abort=0"}))


def stack(s, auth, account="required pam_permit.so"):
    bad = f"{BUILD}/pam/pam_bad.so"
    lines = f"auth {auth}\naccount {account}\nsession required pam_permit.so\npassword required pam_deny.so\n"
    (s.dir / "pam/bad").write_text(lines.replace("@", bad))


def attempts(s):
    events = [e for e in s.events("maria") if e.get("user", {}).get("name") == "alice"]
    return [e["event"].get("reason") for e in events if e["event"]["action"] in ("login", "login.attempt")]


def nothing_left(s):
    wait_for(lambda: "lodge-pam" not in s.children().values(), "the end of lodge-pam")


# what the module does; what is typed at which prompts; how it ends
ROWS = {
    "right": ("required @ ask", [WORD], IN),
    "wrong": ("required @ ask", [("Word: ", "open")], "wrong-code"),
    "sleeps for ever": ("required @ sleep", [], "pam-trouble"),
    "hangs with all signals blocked": ("required @ hang", [WORD], "pam-trouble"),
    "crashes": ("required @ segv", [], "pam-trouble"),
    "aborts": ("required @ abort", [], "pam-trouble"),
    "exits 0 at once": ("required @ exit-now", [WORD], "pam-trouble"),
    "exits 0 in order": ("required @ exit-orderly", [WORD], "pam-trouble"),
    "floods with texts": ("required @ flood-texts", [MADE_UP], "pam-trouble"),
    "prompts with 64 KiB": ("required @ long", [MADE_UP], "pam-trouble"),
    "prompts 33 times at once": ("required @ batch-too-many", [MADE_UP], "pam-trouble"),
    "prompts in an unknown style": ("required @ style", [WORD], "pam-trouble"),
    "makes maria of alice": ("required @ user maria", [WORD], "pam-account"),
    "says yes without a question": ("required @ yes", [], "pam-trouble"),
    "is not there": ("required pam_not_there.so", [MADE_UP], "pam-trouble"),
    "answer of 511 bytes": ("required @ length 511", [("Word: ", "x" * 511)], IN),
    "answer of 512 bytes": ("required @ length 512", [("Word: ", "x" * 512)], "protocol"),
}


@pytest.mark.parametrize("how", ROWS)
def test_a_module(s, how):
    auth, answers, reason = ROWS[how]
    stack(s, auth)
    before = len(attempts(s))
    one = s.terminal("alice", "help", options=("-o", "NumberOfPasswordPrompts=1"))
    for prompt, text in answers:
        one.expect_exact(prompt)
        # somebody else, while this one goes on
        assert s.verb("maria", "requests") is not None
        one.sendline(text)
    if not answers:
        assert s.verb("maria", "requests") is not None
    if reason is IN:
        one.expect_exact("help VERB")
    elif reason != "protocol":
        one.expect_exact(f"lodge: denied [{reason}]")
    one.expect(pexpect.EOF)
    one.close()
    assert one.exitstatus == (0 if reason is IN else 255)
    nothing_left(s)
    wait_for(lambda: len(attempts(s)) > before, "the event")
    assert attempts(s)[-1] == reason


def test_what_is_written_where_it_has_no_business(s):
    """On gateway's own link, for one: that conversation is over, whether it was asking already or not."""
    stack(s, "required @ write")
    one = s.terminal("alice", "help", options=("-o", "NumberOfPasswordPrompts=1"))
    if one.expect_exact(["Word: ", "lodge: denied [pam-trouble]"]) == 0:
        one.sendline("sesame")
        one.expect_exact("lodge: denied [pam-trouble]")
    nothing_left(s)
    assert attempts(s)[-1] == "pam-trouble"
    assert "the link to lodge-pam broke" in s.log()


def test_a_flood_of_prompts(s):
    """Nobody has to answer ten thousand times: the conversation ends by itself, by number or by time."""
    stack(s, "required @ flood")
    one = s.terminal("alice", "help", options=("-o", "NumberOfPasswordPrompts=1"))
    one.delaybeforesend = None
    rounds = 0
    while one.expect_exact(["Word: ", "lodge: denied [pam-trouble]"]) == 0:
        rounds += 1
        one.sendline("sesame")
    assert 0 < rounds <= 64
    nothing_left(s)


def test_a_child_left_behind(s):
    """It goes with the conversation, and the answer counts."""
    note = s.dir / "child"
    stack(s, f"required @ child {note}")
    one = s.terminal("alice", "help")
    one.expect_exact("Word: ")
    pid = int(note.read_text())
    assert os.path.exists(f"/proc/{pid}")
    one.sendline("sesame")
    one.expect_exact("help VERB")
    nothing_left(s)
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the child")


def test_echo(s):
    """What may be seen is seen, what may not is not."""
    for module, seen in (("echo", True), ("ask", False)):
        stack(s, f"required @ {module}")
        one = s.terminal("alice", "help")
        one.expect_exact("Word: ")
        one.sendline("sesame")
        one.expect_exact("help VERB")
        assert ("sesame" in one.before) == seen


def test_texts_that_would_do_something_to_a_terminal(s):
    """Texts and prompt reach the engineer, and none of their control bytes does."""
    stack(s, "required @ escape")
    one = s.terminal("alice", "help")
    one.expect(r"Word.*: ")
    shown = one.before + one.after
    for word in ("one", "owned", "two", "three", "four"):
        assert word in shown, shown
    assert not set(shown) & set("\x1b\x07\b\x9b\ufffd"), shown
    one.sendline("x")
    one.expect_exact("help VERB")


def test_an_answer_with_a_nul(s):
    """libssh cuts it there: what is left is not the word."""
    stack(s, "required @ ask")
    key = paramiko.Ed25519Key.from_private_key_file(str(s.dir / "clients/alice"))
    transport = paramiko.Transport(("127.0.0.1", s.port))
    try:
        transport.connect()
        transport.auth_publickey("alice", key)
        with pytest.raises(paramiko.SSHException):
            transport.auth_interactive("alice", lambda title, about, prompts: ["ses\0ame"] * len(prompts))
        assert not transport.is_authenticated()
    finally:
        transport.close()
    nothing_left(s)
    assert attempts(s)[-1] == "wrong-code"
    assert s.verb("maria", "requests") is not None


def test_an_account_that_asks(s):
    """At a login that rides on the key alone nobody is there to be asked: no."""
    lodge = s.dir / "pam/lodge"
    text = lodge.read_text()
    try:
        for account, reason in (("ask", "pam-account"), ("no", "pam-account"), ("sleep", "pam-trouble"), ("expired", "pam-account")):
            lodge.write_text(text.replace("account   required  pam_permit.so", f"account required {BUILD}/pam/pam_bad.so {account}"))
            one = s.terminal("maria", "requests")
            one.expect_exact(f"lodge: denied [{reason}]")
            one.close(force=True)
            nothing_left(s)
    finally:
        lodge.write_text(text)
    assert s.verb("maria", "requests") is not None
