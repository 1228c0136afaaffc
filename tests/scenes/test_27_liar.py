"""A session process that was taken over gets nothing that is not its own.

It names other people, shows proofs that were made elsewhere, asks for certificates, agents and passwords of streams that it has
not, for signatures that it should not want, for what others may; it speaks before its login, for other connections, out of
turn and malformed, and writes into its ring what is not its own.  Nothing is given; the book or the log says what it tried; it
may lose its connection, and nobody else does: a visit beside it goes on, and no other process of the house dies.
"""

import contextlib
import datetime
import json
import os
import re

import pytest
from bare_ssh import MSG_CHANNEL_REQUEST, Gone, packed, private_key
from lies import LIAR, MESSAGES, datagram, fields_of, lying_site, offset_of, said_to, say, say_raw
from site_of_lodge import DAEMONS, wait_for
from undisturbed import Beside

from conftest import kept

ASK = 0x7EAD0001  # the number of a lie's question
FOREIGN = 99  # a stream that nobody has
HASH = bytes(range(32))  # an exchange hash of the liar's choice
AS_ALICE, AS_MARIA = b"alice".hex(), b"maria".hex()  # of one length: they fit into each other's place
LOGIN_PUBLICKEY, LOGIN_KEYBOARD, LOGIN_NONE = 1, 2, 3  # enum login_method
EXEC, ALLOW, SUCCESS = 2, 2, 2  # ask_kind, verdict, login_outcome
BEGIN, OUT, END = 1, 3, 18  # frames.def
SUSPECT = "session.suspect"
KEY = packed("ssh-ed25519", bytes(32))


@pytest.fixture(scope="module")
def site(request):
    yield from kept(request, lying_site("--no-code", "--set", "PenaltyLeast=0", "--set", "MaxAuthTries=20"))


@pytest.fixture(scope="module")
def s(site):
    site.granted("8h")
    site.daemons = daemons(site)
    site.beside = Beside(site, "alice+osv1")
    site.other = int(re.findall(r"connection (\d+): alice is in", site.log())[-1])  # its number
    site.honest = honest(site)
    return site


def daemons(s):
    return {pid: name for pid, name in s.children().items() if name.removeprefix("lodge-") in DAEMONS}


def honest(s):
    """{message: what an honest connection sent or took}"""
    s.lies.tell()
    b = s.lies.client("alice+osv1")
    assert b.run("echo alive") == (b"alive\n", b"", 0)
    b.close()
    assert {"SIGNED", "PROOF_RESULT", "LOGIN_RESULT", "LEASE", "VERDICT", "TARGET", "CERT"} == set(gifts(s)), "what is looked for"
    seen = {x.message: x for x in s.lies.seen()}
    s.beside.alone()
    return seen


@pytest.fixture(autouse=True)
def undisturbed(s):
    """After each lie: nobody else noticed, and no process but the liar's died."""
    yield
    s.lies.close()
    s.beside.alone()
    assert daemons(s) == s.daemons


# ---- what is looked at ----

# When a message to a session gives it something; what else it is told gives nothing.
GIVES = {
    "SIGNED": lambda f: True,
    "PROOF_RESULT": lambda f: f["good"],
    "LOGIN_RESULT": lambda f: f["outcome"] == SUCCESS,
    "KEY_ANSWER": lambda f: f["acceptable"],
    "CERT": lambda f: f["certificate"],
    "AGENT": lambda f: True,
    "PASSWORD": lambda f: True,
    "ROTATION": lambda f: True,
    "PROMPTS": lambda f: True,
    "VERDICT": lambda f: f["verdict"] == ALLOW,
    "LEASE": lambda f: True,
    "VERB_OUT": lambda f: f["to"] == 1,
    "VERB_STREAM": lambda f: True,
    "TARGET": lambda f: True,
}


def gifts(s):
    """Messages that gave the liar something."""
    return [x.message for x in s.lies.seen(way="took") if GIVES.get(x.message, lambda f: False)(fields_of(x.message, x.data))]


def gifts_of_lies(s):
    """The same, of those alone that answer a lie's own question."""
    def of_a_lie(x):
        f = fields_of(x.message, x.data)
        return f.get("ask") == ASK or f.get("stream") == FOREIGN
    return [x.message for x in s.lies.seen(way="took") if of_a_lie(x) and GIVES.get(x.message, lambda f: False)(
        fields_of(x.message, x.data))]


class Told:
    """What the book and the log say since it was made."""

    def __init__(self, s):
        self.s, self.log = s, len(s.log())
        self.before = self.last()

    def last(self):
        return set(self.s.lodge("events", "--last", "60", "--json").stdout.splitlines())

    def event(self, action, reason=None, what=""):
        def look():
            new = [json.loads(e) for e in self.last() - self.before if e.startswith("{")]
            return [e for e in new if e["event"]["action"] == action and reason in (None, e["event"].get("reason")) and
                    what in str(e)]

        return wait_for(look, f"{action} {reason or ''} {what} in the book")

    def line(self, pattern):
        return wait_for(lambda: re.search(pattern, self.s.log()[self.log :]), f"/{pattern}/ in the log")


# ---- another's name, another's proof ----


def try_login(s, login="alice+osv1", person="alice"):
    """Whether the client was let in; it leaves."""
    b = s.lies.client()
    try:
        b.log_in(login, private_key(s, person))
    except (AssertionError, Gone):
        return False
    finally:
        b.close()
    return True


def proof_at(s, field):
    """Where this field's bytes stand in a PROOF of alice's, which is always as long."""
    return offset_of("PROOF", s.honest["PROOF"].data, field)


def replayed(s):
    """The proof of the honest connection, in place of the liar's own; its question's number stays."""
    return f"send PROOF put 6 {s.honest['PROOF'].data[6:].hex()}"


# The lies, and the reason of the failed try; None: that it was tried is told as a suspicion.
LOGINS = {
    "another name beside her own proof": (lambda s: [f"send LOGIN_STEP swap {AS_ALICE} {AS_MARIA}"], "protocol"),
    "a proof for another leg": (lambda s: ["send PROOF put 6 01"], None),
    "another name in all that is said": (
        lambda s: [f"send LOGIN_STEP swap {AS_ALICE} {AS_MARIA}", f"send PROOF swap {AS_ALICE} {AS_MARIA}"], "bad-signature"),
    "an identifier that was altered": (
        lambda s: [f"send PROOF put {proof_at(s, 'signed_data') + 4} 00000000"], "bad-signature"),
    "a proof that was made on another connection": (lambda s: [replayed(s)], "bad-signature"),
    "another key beside the signature": (
        lambda s: [f"send PROOF put {proof_at(s, 'key')} {KEY.hex()}"], "bad-signature"),
    "a signature that was altered": (lambda s: [f"send PROOF put {proof_at(s, 'signature') + 30} 00000000"], "bad-signature"),
    "no proof, and it goes on as if there were": (lambda s: ["take PROOF_RESULT put 6 01", replayed(s)], "bad-signature"),
}


@pytest.mark.parametrize("lie", LOGINS)
def test_logging_in(s, lie):
    lines, reason = LOGINS[lie]
    s.lies.tell(*lines(s))
    told = Told(s)
    assert not try_login(s)
    assert [x for x in gifts(s) if x not in ("SIGNED", "PROOF_RESULT")] == []
    told.event(*(("login.attempt", reason) if reason else (SUSPECT,)))


def test_a_hash_and_a_proof_of_another_connection(s):
    """All of it replayed: the hash that auth signs for this connection, and the proof over it.

    The key exchange with the client fails then, for the signature fits another; the liar goes on without it."""
    hash_ = fields_of("SIGN", s.honest["SIGN"].data)["hash"]
    proof = s.honest["PROOF"].data[6:]
    s.lies.tell(
        say("auth", "SIGN", ask=ASK, leg=0, hash=hash_),
        say_raw("auth", datagram("PROOF")[:2] + ASK.to_bytes(4, "big") + proof),
        say("auth", "LOGIN_STEP", ask=ASK, login="alice+osv1", method=LOGIN_PUBLICKEY),
    )
    told = Told(s)
    s.lies.connect()
    told.event(SUSPECT)
    assert gifts(s) == []


@pytest.mark.parametrize("method", [LOGIN_PUBLICKEY, LOGIN_KEYBOARD, LOGIN_NONE, 9])
def test_logging_in_without_a_proof(s, method):
    s.lies.tell(
        say("auth", "SIGN", ask=ASK, leg=0, hash=os.urandom(32)),
        say("auth", "LOGIN_STEP", ask=ASK, login="alice", method=method),
    )
    s.lies.connect()
    wait_for(lambda: s.lies.seen("LOGIN_RESULT"), "the answer")
    assert gifts(s) == ["SIGNED"]


# ---- before the login ----

# What is said as soon as the links are there.
BEFORE = {
    "wants a certificate": say("auth", "CERT_WANTED", ask=ASK, stream=1, public_key=KEY),
    "wants an agent": say("auth", "AGENT_WANTED", ask=ASK, stream=1),
    "wants a password": say("auth", "PASSWORD_WANTED", ask=ASK, stream=1),
    "wants a rotation": say("auth", "ROTATION_WANTED", ask=ASK, stream=1),
    "wants a signature for a leg that cannot be": say("auth", "SIGN", ask=ASK, leg=1, hash=HASH),
    "wants a signature of what is no hash": say("auth", "SIGN", ask=ASK, hash=b"ssh-userauth" * 9),
    "asks for a target": say("policy", "ASK", ask=ASK, channel=1, kind=EXEC, target="osv1", command=b"id"),
    "types a verb": say("policy", "VERB", ask=ASK, words=b"approve 1"),
    "holds another's lease": say("policy", "LEASE_HELD", conn=1, grant=1, ends_boot_ms=1 << 60),
    "tells of a stream": say("policy", "VISIT", stream=1, what=1),
}


def lie_is_told(s, line):
    data = bytes.fromhex(line.split()[-1])
    wait_for(lambda: any(x.data == data for x in s.lies.seen(way="sent")), "the lie")


@pytest.mark.parametrize("lie", BEFORE)
def test_before_the_login(s, lie):
    s.lies.tell(BEFORE[lie])
    told = Told(s)
    s.lies.connect()
    lie_is_told(s, BEFORE[lie])
    told.event(SUSPECT)
    assert gifts(s) == []


def test_a_second_hash_before_the_login(s):
    """auth signs one, which is the connection's identifier for ever."""
    s.lies.tell(say("auth", "SIGN", "sent SIGN", ask=ASK, hash=HASH))
    told = Told(s)
    s.lies.connect(exchange=True)
    assert gifts(s) == ["SIGNED"]
    told.event(SUSPECT)


# ---- after it ----

# Of an honest login and visit of alice's, at this moment.
ASKED = "sent ASK"  # policy was asked for a stream
HELD = "sent TARGET_HELD"  # stream 1 is there
AFTER = {
    "another name": (say("auth", "LOGIN_STEP", ASKED, ask=ASK, login="maria", method=LOGIN_PUBLICKEY), SUSPECT),
    "another name's key": (say("auth", "KEY_OFFER", ASKED, ask=ASK, login="maria", algorithm="ssh-ed25519", key=KEY), SUSPECT),
    "a signature for a leg that cannot be": (say("auth", "SIGN", ASKED, ask=ASK, leg=200, hash=HASH), SUSPECT),
    "an agent where policy said certificate": (say("auth", "AGENT_WANTED", HELD, ask=ASK, stream=1), "credential"),
    "a password where policy said certificate": (say("auth", "PASSWORD_WANTED", HELD, ask=ASK, stream=1), "credential"),
    "a rotation where policy said certificate": (say("auth", "ROTATION_WANTED", HELD, ask=ASK, stream=1), "credential"),
    "a certificate over no key": (say("auth", "CERT_WANTED", HELD, ask=ASK, stream=1, public_key=b"key"), SUSPECT),
    "another's stream": (say("policy", "VISIT", HELD, stream=FOREIGN, what=2), SUSPECT),
}


def visit(s, *lines, login="alice+osv1"):
    """alice logs in and begins to run something, with these lies in it, until the last of them is told."""
    s.lies.tell(*lines)
    b = s.lies.client(login)
    channel = b.open_channel()
    b.send(MSG_CHANNEL_REQUEST, channel, "exec", True, "cat")
    if " say " in lines[-1]:
        lie_is_told(s, lines[-1])
    return b


@pytest.mark.parametrize("lie", AFTER)
def test_after_the_login(s, lie):
    line, action = AFTER[lie]
    told = Told(s)
    visit(s, line)
    assert gifts_of_lies(s) == []
    told.event(action, "suspect")


@pytest.fixture(scope="module")
def other_ways(s):
    """Targets that let us in by a password (byp) and by a key (byk), with secrets of their own."""
    where = ("--address", f"127.0.0.1:{s.facts['sshd_port']}", "--account", s.account, "--host-key",
             " ".join((s.dir / "osv1/host_ed25519.pub").read_text().split()[:2]))
    ends = (datetime.date.today() + datetime.timedelta(days=400)).isoformat()
    words = {"byp": ("--login", "password", "--legacy-until", ends, "--legacy-why", "a scene"), "byk": ("--login", "key")}
    for name in words:
        done = s.lodge("target", "add", name, *where, *words[name])
        assert done.returncode == 0, done.stderr
    for words in (("set", f"byp+{s.account}"), ("generate", f"byk+{s.account}")):
        done = s.lodge("secret", *words, stdin="a password\n")
        assert done.returncode == 0, done.stderr
    for name in ("byp", "byk"):
        said = s.verb("alice", "request", name, "--for", "8h", "--why", "lies")
        s.approve(re.search(r"request (\d+)", said).group(1), "--for", "8h")


@pytest.mark.parametrize("target, wanted", [
    ("byp", "CERT_WANTED"), ("byp", "AGENT_WANTED"), ("byk", "CERT_WANTED"), ("byk", "PASSWORD_WANTED"),
])
def test_another_way_in_than_policy_said(s, other_ways, target, wanted):
    more = {"public_key": KEY} if wanted == "CERT_WANTED" else {}
    told = Told(s)
    visit(s, say("auth", wanted, HELD, ask=ASK, stream=1, **more), login=f"alice+{target}")
    told.event("credential", "suspect")
    assert gifts_of_lies(s) == []


@pytest.mark.parametrize("wanted", ["CERT_WANTED", "AGENT_WANTED", "PASSWORD_WANTED", "ROTATION_WANTED"])
def test_what_lets_into_a_stream_that_policy_never_allowed(s, wanted):
    """Another connection's, as much as nobody's: a connection numbers its own."""
    more = {"public_key": KEY} if wanted == "CERT_WANTED" else {}
    s.lies.tell(say("auth", wanted, ASKED, ask=ASK, stream=FOREIGN, **more))
    told = Told(s)
    b = s.lies.client("alice+osv1")
    assert b.run("echo alive") == (b"alive\n", b"", 0)
    s.turn(6, wall=False)  # auth waited for policy's word
    told.event("credential", "suspect")
    assert gifts_of_lies(s) == []


def test_another_connections_lease(s):
    line = say("policy", "LEASE_HELD", ASKED, conn=s.other, grant=1, ends_boot_ms=1 << 60)
    told = Told(s)
    visit(s, line)
    told.event(SUSPECT)


def test_a_proof_after_the_login(s):
    """Nobody becomes somebody else, nor learns whether a proof were good."""
    line = f"{ASKED} say auth {datagram('PROOF')[:2].hex()}{ASK:08x}{s.honest['PROOF'].data[6:].hex()}"
    visit(s, line)
    assert "PROOF_RESULT" not in gifts_of_lies(s)


def test_a_hash_of_its_choice_for_an_inner_leg(s):
    """auth signs it, as for any jump; a proof over it counts for nothing."""
    proof = say("auth", "PROOF", ASKED, ask=ASK, leg=3, key=KEY, signature=b"x", signed_data=packed(HASH))
    visit(s, say("auth", "SIGN", ASKED, ask=ASK, leg=3, hash=HASH), proof)
    wait_for(lambda: gifts_of_lies(s), "the signature")
    assert gifts_of_lies(s) == ["SIGNED"]


# ---- what others may ----


@pytest.mark.parametrize("target, account", [("osv1", ""), ("osv1", "root"), ("", "")])
def test_a_target_under_anothers_grant(s, target, account):
    """maria's session asks for what alice was granted, and goes on as if she had it."""
    lines = (
        say("policy", "ASK", "send VERB", ask=ASK, channel=1, kind=EXEC, target=target, account=account, command=b"id"),
        say("policy", "LEASE_HELD", "send VERB", conn=0, grant=1, ends_boot_ms=1 << 60),
        say("auth", "CERT_WANTED", "send VERB", ask=ASK, stream=1, public_key=KEY),
        say("recorder", "TARGET_HELD", "send VERB", stream=1),
    )
    told = Told(s)
    s.lies.tell(*lines)
    b = s.lies.client("maria", "maria")
    with contextlib.suppress(ConnectionError, AssertionError):
        b.run("requests")
    s.turn(6, wall=False)
    told.event("visit.refused")
    told.event("credential", "suspect")
    assert gifts_of_lies(s) == []


def test_another_account_than_the_granted(s):
    told = Told(s)
    visit(s, say("policy", "ASK", ASKED, ask=ASK, channel=1, kind=EXEC, target="osv1", account="root", command=b"id"))
    told.event("visit.refused", "unknown-account")
    assert gifts_of_lies(s) == []


# ---- out of turn ----

HARMLESS = {
    "answers that nobody asked for": say("auth", "ANSWERS", ask=ASK, count=1, answers=packed("123456")),
    "a password that was good": say("auth", "PASSWORD_GOOD", stream=1),
    "a rotation that is done": say("auth", "ROTATION_DONE", stream=1, outcome=1),
    "a login that could not be read": say("auth", "LOGIN_UNREADABLE", login="maria"),
    "somebody left who never typed": say("policy", "VERB_GONE", ask=1),
    "somebody waits no more who never did": say("policy", "ASK_ENDED", ask=1),
    "a target's socket": say("recorder", "TARGET_HELD", stream=1),
    "that it is ready": say("gateway", "READY"),
}


@pytest.mark.parametrize("lie", HARMLESS)
def test_what_makes_no_difference(s, lie):
    s.lies.tell(HARMLESS[lie])
    s.lies.connect()
    lie_is_told(s, HARMLESS[lie])
    assert gifts(s) == []


# ---- into the ring ----

FRAMES = {
    "of a stream that it has not": f"{HELD} frame {OUT} {FOREIGN} 1 6576696c",
    "a beginning, which is the recorder's": f"{HELD} frame {BEGIN} 1 0 7b7d",
    "of another stream from now on": f"{HELD} stream {FOREIGN}",
}


@pytest.mark.parametrize("lie", FRAMES)
def test_frames(s, lie):
    """It is ended, even when it will not hear of it."""
    told = Told(s)
    b = visit(s, "take RECORDER_TROUBLE put 2 00000063", "take END put 2 0000000000000063", FRAMES[lie])
    b.drain()
    told.line("breaks the rules|is not recorded")
    told.event(SUSPECT)


def test_frames_after_the_end(s):
    """What it writes behind its own END is no part of the recording."""
    told = Told(s)
    visit(s, f"{HELD} frame {END} 1 0 0037")
    told.line("is not recorded")


# ---- malformed ----


def malformed(process):
    """Datagrams that the contract does not have on this way, one a connection."""
    mine = said_to(process)
    for name in sorted(MESSAGES):
        whole = datagram(name)
        if name not in mine:
            yield say_raw(process.lower(), whole, do="give" if MESSAGES[name][1] else "say")
            continue
        yield say_raw(process.lower(), whole[:-1])
        yield say_raw(process.lower(), whole + b"\0")
        yield say_raw(process.lower(), whole, do="say" if MESSAGES[name][1] else "give")
        if MESSAGES[name][2] and MESSAGES[name][2][-1][0] in ("text", "bytes"):
            yield say_raw(process.lower(), whole[:-4] + b"\xff\xff\xff\xff")
    yield say_raw(process.lower(), b"\0")
    yield say_raw(process.lower(), b"\xff\xff")
    yield say_raw(process.lower(), datagram("HELLO", version=1, process=2))


@pytest.mark.parametrize("processes", [["AUTH", "POLICY", "RECORDER"], ["GATEWAY"]])
def test_malformed(s, processes):
    """On several of its links at once, in one connection after the other.  gateway kills it for that."""
    rows = {process: list(malformed(process)) for process in processes}
    told = Told(s)

    def all_broke(n):
        said = s.log()[told.log :]
        return all(len(re.findall(rf"^lodge-{process.lower()}\[.*(?:malformed|HELLO)", said, re.M)) > min(n, len(row) - 1)
                   for process, row in rows.items())

    for n in range(max(map(len, rows.values()))):
        lines = [row[n] for row in rows.values() if n < len(row)]
        s.lies.tell(*lines)
        s.lies.connect()
        wait_for(lambda: all_broke(n), f"the end of each link after {lines}", pause=0.005)
        s.lies.close()
        assert gifts(s) == [], lines
    if "AUTH" in processes:
        told.event(SUSPECT)


# ---- a code of its own ----


@pytest.fixture
def coded(request):
    yield from kept(request, lying_site("--set", "PenaltyLeast=0"))


def test_a_target_that_wants_a_fresh_code(coded):
    """It keeps from policy where she is going, so that nobody asks her for a code; and then it answers for her."""
    s = coded
    assert s.lodge("target", "change", "osv1", "--fresh-code", "yes").returncode == 0
    s.granted()
    s.lies.tell()
    here = s.ssh("alice", "help", options=("-T", "-o", f"BindAddress={LIAR}"))
    assert here.returncode == 0, here.stderr  # with a code, which is good for MFAGrace from there
    answer = datagram("ANSWERS", ask=ASK, count=1, answers=packed("123456"))
    told = Told(s)
    visit(s, "send INTENT keep", say_raw("auth", answer, ASKED))
    told.event("visit.refused", "fresh-code")
    assert [x for x in gifts(s) if x in ("VERDICT", "LEASE", "TARGET", "CERT")] == []


# ---- and at the end ----


def test_all_of_it_is_good(s):
    s.beside.end()
