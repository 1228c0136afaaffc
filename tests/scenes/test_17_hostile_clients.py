"""A client that breaks the protocol, or asks for what makes no sense, gets the right answer or a clean end.

It is refused, or its connection closes, and nobody else notices; what it calls itself and what it asks for reaches no
log, book or terminal raw; a try of logging in that cannot be read is counted and answered, and a later good key is let in;
no process is left, and every recording is good.

One file, for all of it is one list: each act of a client's is a short function, or a row, in the table of its phase.
"""

import contextlib
import os
import re
import select
import socket
import struct
import subprocess
import threading

import paramiko
import pytest
from bare_ssh import (
    MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN, MSG_CHANNEL_OPEN_FAILURE, MSG_CHANNEL_OPEN_SUCCESS, MSG_CHANNEL_REQUEST, MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST, MSG_NEWKEYS, MSG_SERVICE_REQUEST, MSG_USERAUTH_FAILURE,
    MSG_USERAUTH_REQUEST, MSG_USERAUTH_SUCCESS, Bare, Ed25519PrivateKey, Raw, client, connection, packed, private_key)
from site_of_lodge import wait_for
from undisturbed import Beside, ask_without_reading, stays_flat, watched_site

from conftest import kept

MSG_DISCONNECT, MSG_IGNORE, MSG_UNIMPLEMENTED, MSG_DEBUG = 1, 2, 3, 4
MSG_USERAUTH_INFO_RESPONSE, MSG_GLOBAL_REQUEST, MSG_REQUEST_SUCCESS, MSG_REQUEST_FAILURE = 61, 80, 81, 82
EVIL = "\x1b]0;evil\x07\x1b[31mred%s%n'\"`$(id)\r\nlodge: approved"
GRACE = 61  # seconds: more than LoginGraceTime


@pytest.fixture(scope="module")
def site(request):
    yield from kept(request, watched_site("--set", "PenaltyLeast=0", "--set", "MaxAuthTries=20"))


@pytest.fixture(scope="module")
def echoes():
    """A service that a grant names."""
    listener = socket.create_server(("127.0.0.1", 0))

    def echo(one):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                one.sendall(data)
        one.close()

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@pytest.fixture(scope="module")
def s(site, echoes):
    said = site.verb("alice", "request", "osv1", "--for", "8h", "--why", "odd", "--forward", f"127.0.0.1:{echoes}")
    site.approve(re.search(r"request (\d+)", said).group(1), "--for", "8h")
    site.beside = Beside(site, "alice+osv1")
    (site.beside.number,) = [r["session"] for r in site.json("maria", "sessions") if r["person"] == "alice"]
    site.closing = []
    return site


@pytest.fixture(autouse=True)
def undisturbed(s):
    """After each scene: nobody else noticed, and nothing is left."""
    yield
    while s.closing:
        s.closing.pop().close()
    s.beside.alone()


def connect(s, login=None, **how):
    one = client(s, login, **how)
    s.closing.append(one)
    return one


def plain(s):
    """A connection that has said nothing yet."""
    one = Bare(connection(s))
    s.closing.append(one)
    return one


def ends(b):
    """The other side closes, soon."""
    numbers = b.drain()
    assert MSG_USERAUTH_SUCCESS not in numbers and MSG_CHANNEL_OPEN_SUCCESS not in numbers, numbers


def works(b):
    """The connection is as good as new."""
    out, err, status = b.run("echo alive; exit 3")
    assert (out, err, status) == (b"alive\n", b"", 3)


def settled(b, what="settled@example.org"):
    """Waits until all that was sent is answered: the numbers of the answers."""
    numbers = []
    for _ in range(2):  # what is answered in its turn, and what at once
        b.send(MSG_CHANNEL_OPEN, what, 0xFFFF, 1, 1)
        while True:
            number, m = b.recv()
            if number == MSG_CHANNEL_OPEN_FAILURE and m.get_int() == 0xFFFF:
                break
            numbers.append(number)
    return numbers


# ---- before the login ----

BEFORE = {}


def before(act):
    BEFORE[act.__name__] = act
    return act


@before
def leaves_at_once(s):
    plain(s).close()


@before
def sends_garbage(s):
    b = plain(s)
    b.raw(os.urandom(100_000))
    ends(b)


@before
def speaks_http(s):
    b = plain(s)
    b.raw(b"GET / HTTP/1.1\r\nHost: lodge\r\n\r\n")
    ends(b)


@before
def version_of_a_megabyte(s):
    b = plain(s)
    with contextlib.suppress(OSError):
        b.raw(b"SSH-2.0-" + b"x" * 1_000_000 + b"\r\n")
    ends(b)


@before
def garbage_after_the_version(s):
    b = plain(s)
    b.versions()
    b.raw(os.urandom(100_000))
    ends(b)


@before
def a_packet_that_says_four_gigabytes(s):
    b = plain(s)
    b.versions()
    b.raw(b.sealed(b.kexinit(), length=0xFFFFFFFF))
    ends(b)


@before
def an_empty_packet(s):
    b = plain(s)
    b.versions()
    b.raw(struct.pack(">IB", 0, 0) + bytes(100))
    ends(b)


@before
def padding_longer_than_the_packet(s):
    b = plain(s)
    b.versions()
    b.raw(struct.pack(">IB", 12, 255) + bytes(100))
    ends(b)


@before
def nothing_in_common(s):
    b = plain(s)
    b.versions()
    b.raw(b.sealed(b.kexinit((b"nothing@example.org",) * 8)))
    ends(b)


@before
def exchanges_begun_without_end(s):
    b = plain(s)
    b.versions()
    with contextlib.suppress(OSError):
        for _ in range(1000):
            b.raw(b.sealed(b.kexinit()))
    ends(b)


@before
def keys_without_an_exchange(s):
    b = plain(s)
    b.versions()
    with contextlib.suppress(OSError):
        b.raw(b.sealed(b.kexinit()))
        b.send(MSG_NEWKEYS)
        b.send(MSG_NEWKEYS)
    ends(b)


@before
def an_exchange_in_the_login(s):
    b = connect(s)
    b.service()
    with contextlib.suppress(OSError):
        b.raw(b.sealed(b.kexinit()))
    ends(b)


@before
def keys_twice(s):
    b = connect(s)
    b.send(MSG_NEWKEYS)
    ends(b)


@before
def half_a_packet(s):
    b = connect(s)
    b.raw(b.sealed(bytes([MSG_SERVICE_REQUEST]) + packed("ssh-userauth"))[:20])
    b.close()


@before
def a_wrong_mac(s):
    b = connect(s)
    packet = b.sealed(bytes([MSG_SERVICE_REQUEST]) + packed("ssh-userauth"))
    b.raw(packet[:-1] + bytes([packet[-1] ^ 1]))
    ends(b)


@before
def says_itself_that_it_is_in(s):
    b = connect(s)
    b.service()
    b.send(MSG_USERAUTH_SUCCESS)
    with contextlib.suppress(OSError):
        b.send(MSG_CHANNEL_OPEN, "session", 0, 1 << 21, 32768)
    ends(b)


@before
def opens_a_channel_too_early(s):
    b = connect(s)
    b.send(MSG_CHANNEL_OPEN, "session", 0, 1 << 21, 32768)
    ends(b)


@before
def answers_what_nobody_asked(s):
    b = connect(s)
    b.service()
    b.send(MSG_USERAUTH_INFO_RESPONSE, 1, "123456")
    ends(b)


@before
def an_unknown_service(s):
    b = connect(s)
    b.send(MSG_SERVICE_REQUEST, EVIL)
    b.close()


@pytest.mark.parametrize("name", BEFORE)
def test_before_the_login(s, name):
    BEFORE[name](s)


def test_every_message_in_every_state(s):
    """Each of the 256 numbers, with a few bytes behind it: before the keys, with keys, and logged in."""
    for number in range(256):
        before_keys = plain(s)
        before_keys.versions()
        for b in (before_keys, connect(s)):
            b.send(number, Raw(bytes(12)))
            b.sock.shutdown(socket.SHUT_WR)
            ends(b)
            b.close()
    b = connect(s, "alice+osv1")
    for number in range(256):
        try:
            b.send(number, Raw(bytes(12)))
            b.send(MSG_GLOBAL_REQUEST, "x", True)
            b.until(MSG_REQUEST_FAILURE)
        except OSError:
            b.close()
            b = connect(s, "alice+osv1")
    b.close()


# ---- tries ----


def key_try(b, private, *changes, **how):
    """The fields of a try with a key, of which some are changed: {place: what stands there}."""
    fields, signature = b.proof("alice+osv1", private, **how)
    fields = [*fields, signature]
    for place, what in dict(changes).items():
        fields[place] = what
    return fields


SIGNED, KIND, KEY, SIGNATURE = 3, 4, 5, 6  # places of the fields
TRIES = {
    "a signature of nothing": lambda b, k: key_try(b, k, (SIGNATURE, packed("ssh-ed25519", bytes(64)))),
    "somebody else's signature": lambda b, k: key_try(b, k, (SIGNATURE, key_try(b, Ed25519PrivateKey.generate())[-1])),
    "somebody else's key": lambda b, k: key_try(b, Ed25519PrivateKey.generate(), (SIGNATURE, key_try(b, k)[-1])),
    "garbage for a signature": lambda b, k: key_try(b, k, (SIGNATURE, os.urandom(200))),
    "an empty signature": lambda b, k: key_try(b, k, (SIGNATURE, b"")),
    "a signature cut short": lambda b, k: key_try(b, k, (SIGNATURE, key_try(b, k)[-1][:-10])),
    "a signature of 30 kilobytes": lambda b, k: key_try(b, k, (SIGNATURE, packed("ssh-ed25519", bytes(30000)))),
    "a signature of another kind": lambda b, k: key_try(b, k, (SIGNATURE, packed("ssh-rsa", bytes(64)))),
    "no signature": lambda b, k: key_try(b, k)[:-1],
    "an unknown kind of key": lambda b, k: key_try(b, k, (KIND, "ssh-x"), (KEY, packed("ssh-x", b"x"))),
    "an unknown kind of key, offered": lambda b, k: key_try(
        b, k, (SIGNED, False), (KIND, "ssh-x"), (KEY, packed("ssh-x", b"x")))[:-1],
    "a key that is not what it says": lambda b, k: key_try(b, k, (KIND, "rsa-sha2-512")),
    "a kind with control bytes": lambda b, k: key_try(b, k, (KIND, EVIL)),
    "an empty key": lambda b, k: key_try(b, k, (KEY, b"")),
    "garbage for a key": lambda b, k: key_try(b, k, (KEY, os.urandom(100))),
    "a key of five bytes": lambda b, k: key_try(b, k, (KEY, packed("ssh-ed25519", b"short"))),
    "a weak kind": lambda b, k: key_try(b, k, (KIND, "ssh-dss"), (KEY, packed("ssh-dss", 1, 1, 1, 1))),
    "an unknown way": lambda b, k: ("alice+osv1", "ssh-connection", EVIL, b"x"),
    "a password": lambda b, k: ("alice+osv1", "ssh-connection", "password", False, "secret"),
    "by host": lambda b, k: ("alice+osv1", "ssh-connection", "hostbased", "ssh-ed25519", "k", "host", "root", "s"),
    "another service": lambda b, k: key_try(b, k, service="ssh-nonsense"),
}


@pytest.mark.parametrize("name", TRIES)
def test_a_try_that_fails(s, name):
    """It is answered at once and counted, and a later good key is let in."""
    before = len(s.events(action="login.attempt"))
    b = connect(s)
    b.service()
    alice = private_key(s, "alice")
    b.send(MSG_USERAUTH_REQUEST, *TRIES[name](b, alice))
    number, _ = b.until(MSG_USERAUTH_SUCCESS, MSG_USERAUTH_FAILURE)
    assert number == MSG_USERAUTH_FAILURE
    b.send(MSG_USERAUTH_REQUEST, *key_try(b, alice))
    number, _ = b.until(MSG_USERAUTH_SUCCESS, MSG_USERAUTH_FAILURE)
    assert number == MSG_USERAUTH_SUCCESS
    works(b)
    failed = [e for e in s.events(action="login.attempt")[before:] if e["event"]["outcome"] == "failure"]
    assert len(failed) == 1, failed


def test_too_many_tries_are_the_end(s):
    b = connect(s)
    b.service()
    with contextlib.suppress(OSError):
        for _ in range(100):
            b.send(MSG_USERAUTH_REQUEST, *TRIES["an empty key"](b, private_key(s, "alice")))
            b.until(MSG_USERAUTH_FAILURE)
        pytest.fail("a hundred tries were answered")


NAMES = ["", "+", "alice+", "alice++", "+osv1", "alice+osv1+", "alice+osv1+srx+more", "alice\n+osv1", "alice+osv1\n",
         "alice+osv1\0", "alice\0+osv1", EVIL, "alice+" + EVIL, "alice+%s%n%x", "alice+'\"`", "alice+../../etc",
         "alice+-oProxy", b"alice+\xff\xfe\x80", "alice+\u202eosv1", "alice+" + "x" * 65, "alice+" + "x" * 4096, "x" * 4096, "x" * 100_000]


@pytest.mark.parametrize("name", NAMES, ids=[ascii(n)[:30] for n in NAMES])
def test_a_login_name_of_no_use(s, name):
    """It is nobody's, and so not let in; or it ends the connection."""
    b = connect(s)
    b.service()
    try:
        fields, signature = b.proof(name, private_key(s, "alice"))
        b.send(MSG_USERAUTH_REQUEST, *fields, signature)
        number, _ = b.until(MSG_USERAUTH_SUCCESS, MSG_USERAUTH_FAILURE)
    except OSError:
        return
    assert number == MSG_USERAUTH_FAILURE
    with contextlib.suppress(OSError):  # another name on the same connection
        b.send(MSG_USERAUTH_REQUEST, *key_try(b, private_key(s, "alice")))
        b.until(MSG_USERAUTH_SUCCESS, MSG_USERAUTH_FAILURE)


def test_no_name_is_shown_raw(s):
    """The log, the book as people and machines read it, and who is in."""
    raw = re.findall(r"[^\n]*[^\t\n -~][^\n]*", s.log())
    assert not raw, raw[:5]
    assert "\nlodge: approved" not in s.log()
    for words in (("events",), ("sessions",), ("requests",)):
        shown = s.ssh("maria", *words).stdout
        assert not re.search(rb"[^\t\n -~\x80-\xff]", shown), words
        assert b"\nlodge: approved" not in shown
    assert s.events()


# ---- logged in ----

INSIDE = {}


def inside(act):
    INSIDE[act.__name__] = act
    return act


@inside
def a_proper_command(s, b):
    works(b)


@inside
def channels_that_are_not(s, b):
    for number in (0, 7, 0xFFFFFFFF):
        b.send(MSG_CHANNEL_DATA, number, b"evil\n")
        b.send(MSG_CHANNEL_EXTENDED_DATA, number, 1, b"evil\n")
        b.send(MSG_CHANNEL_WINDOW_ADJUST, number, 1000)
        b.send(MSG_CHANNEL_REQUEST, number, "exec", False, "id")
        b.send(MSG_CHANNEL_REQUEST, number, "nonsense", True)
        b.send(MSG_CHANNEL_SUCCESS, number)
        b.send(MSG_CHANNEL_FAILURE, number)
        b.send(MSG_CHANNEL_OPEN_FAILURE, number, 1, EVIL, "")
        b.send(MSG_CHANNEL_EOF, number)
        b.send(MSG_CHANNEL_CLOSE, number)
    works(b)


@inside
def ends_twice(s, b):
    channel = b.open_channel()
    for _ in range(2):
        b.send(MSG_CHANNEL_EOF, channel)
    for _ in range(2):
        b.send(MSG_CHANNEL_CLOSE, channel)
    b.until(MSG_CHANNEL_CLOSE)
    b.send(MSG_CHANNEL_REQUEST, channel, "exec", True, "id")
    b.send(MSG_CHANNEL_REQUEST, channel, "pty-req", True, "xterm", 80, 24, 0, 0, "")
    b.send(MSG_CHANNEL_WINDOW_ADJUST, channel, 10)
    works(b)


@inside
def ends_while_it_runs(s, b):
    channel = b.open_channel()
    assert b.ask(channel, "exec", "cat; sleep 0.2")
    b.send(MSG_CHANNEL_DATA, channel, b"x" * 1000)
    for _ in range(2):
        b.send(MSG_CHANNEL_EOF, channel)
        b.send(MSG_CHANNEL_CLOSE, channel)
    b.send(MSG_CHANNEL_REQUEST, channel, "signal", False, "KILL")
    b.until(MSG_CHANNEL_CLOSE)
    works(b)


@inside
def bytes_behind_the_end(s, b):
    channel = b.open_channel()
    assert b.ask(channel, "exec", "wc -c")
    b.send(MSG_CHANNEL_DATA, channel, b"x" * 1000)
    b.send(MSG_CHANNEL_EOF, channel)
    b.send(MSG_CHANNEL_DATA, channel, b"x" * 1000)
    out, _, status = b.said()
    assert status == 0 and int(out) in (1000, 2000)
    works(b)


@inside
def bytes_behind_the_close(s, b):
    channel = b.open_channel()
    assert b.ask(channel, "exec", "sleep 0.2")
    b.send(MSG_CHANNEL_CLOSE, channel)
    with contextlib.suppress(OSError):
        b.send(MSG_CHANNEL_DATA, channel, b"x" * 1000)
        b.until(MSG_CHANNEL_CLOSE)


@inside
def starts_twice(s, b):
    channel = b.open_channel()
    assert b.ask(channel, "exec", "read x; echo $x")
    for name, fields in (("exec", ("id",)), ("shell", ()), ("subsystem", ("sftp",)), ("env", ("LANG", "C")),
                         ("pty-req", ("xterm", 80, 24, 0, 0, "")), ("x11-req", (False, "a", "b", 0))):
        assert not b.ask(channel, name, *fields), name
    b.send(MSG_CHANNEL_DATA, channel, b"once\n")
    assert b.said() == (b"once\n", b"", 0)


@inside
def requests_that_are_cut_short(s, b):
    channel = b.open_channel()
    for name in ("pty-req", "window-change", "env", "exec", "subsystem", "signal", "break", "x11-req", "eow@openssh.com"):
        b.send(MSG_CHANNEL_REQUEST, channel, name, False, Raw(b"\x7f\xff"))
        b.send(MSG_CHANNEL_REQUEST, channel, name, True, Raw(b"\x7f\xff\xff\xff"))
    b.send(MSG_CHANNEL_REQUEST, channel)
    b.send(MSG_CHANNEL_REQUEST)
    b.send(MSG_CHANNEL_DATA, channel, Raw(b"\0\0\0\xff"))
    b.send(MSG_CHANNEL_EXTENDED_DATA, channel)
    b.send(MSG_CHANNEL_WINDOW_ADJUST, channel)
    b.send(MSG_CHANNEL_OPEN)
    b.send(MSG_CHANNEL_OPEN, "session")
    b.send(MSG_CHANNEL_OPEN, "direct-tcpip", 5, 1000, 1000, "osv1")
    for name in ("tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", ""):
        b.send(MSG_GLOBAL_REQUEST, name, True, Raw(b"\xff"))
    b.send(MSG_GLOBAL_REQUEST)
    b.send(MSG_CHANNEL_REQUEST, channel, "the last of them", False)
    answers = settled(b)
    assert answers.count(MSG_CHANNEL_FAILURE) == 8, "all but signal, which wants none"
    assert MSG_CHANNEL_SUCCESS not in answers
    assert b.ask(channel, "exec", "echo alive; exit 3")
    assert b.said() == (b"alive\n", b"", 3)


@inside
def floods(s, b):
    """Of what may be ignored, or answered, or both; the answers are read."""
    channel = b.open_channel()
    assert b.ask(channel, "exec", "read x; echo $x")
    flood = [
        (MSG_IGNORE, EVIL), (MSG_DEBUG, True, EVIL, ""), (MSG_GLOBAL_REQUEST, "keepalive@openssh.com", True),
        (MSG_GLOBAL_REQUEST, EVIL, True), (MSG_UNIMPLEMENTED, 3), (MSG_REQUEST_SUCCESS,), (200, "what is this"),
        (MSG_CHANNEL_REQUEST, channel, "keepalive@openssh.com", True), (MSG_CHANNEL_REQUEST, channel, EVIL, True),
        (MSG_CHANNEL_REQUEST, channel, "window-change", False, 80, 24, 0, 0),
        (MSG_CHANNEL_REQUEST, channel, "env", True, "LC_X", "y"), (MSG_CHANNEL_OPEN, EVIL, 1, 1, 1),
        (MSG_CHANNEL_WINDOW_ADJUST, channel, 1), (MSG_CHANNEL_DATA, channel, b""),
        (MSG_CHANNEL_EXTENDED_DATA, channel, 1, b"x"), (MSG_GLOBAL_REQUEST, "tcpip-forward", True, "127.0.0.1", 22),
    ]
    found = {}
    reader = threading.Thread(target=lambda: found.update(said=b.said()))
    reader.start()
    for _ in range(500):
        for number, *fields in flood:
            b.send(number, *fields)
    b.send(MSG_CHANNEL_DATA, channel, b"through\n")
    reader.join()
    assert found["said"] == (b"through\n", b"", 0)


@inside
def a_terminal_of_odd_modes(s, b):
    for modes in (b"\xff" * 10, b"\x01", b"\x01\0\0\0", b"\0" * 100, os.urandom(1000), os.urandom(200_000)):
        channel = b.open_channel()
        if b.ask(channel, "pty-req", "xterm", 80, 24, 0, 0, modes):
            assert b.ask(channel, "exec", "tty >/dev/null && echo terminal")
            out, err, status = b.said()
            assert status == 69 or (out, status) == (b"terminal\r\n", 0), (modes[:10], out, err, status)
    with contextlib.suppress(OSError):
        b.send(MSG_CHANNEL_REQUEST, b.open_channel(), "pty-req", True, "xterm", 80, 24, 0, 0, bytes(1 << 20))
        ends(b)


@inside
def terminals_of_odd_sizes(s, b):
    for size in ((0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (70000, 1)):
        channel = b.open_channel()
        assert b.ask(channel, "pty-req", "xterm", *size, 0xFFFFFFFF, 0xFFFFFFFF, "")
        assert b.ask(channel, "exec", "echo ok")
        out, _, status = b.said()
        assert (out, status) == (b"ok\r\n", 0)


@inside
def terminals_of_odd_names(s, b):
    channel = b.open_channel()
    assert not b.ask(channel, "pty-req", "x" * 4096, 80, 24, 0, 0, "")
    assert b.ask(channel, "pty-req", EVIL[:30], 80, 24, 0, 0, "")
    assert not b.ask(channel, "pty-req", "xterm", 80, 24, 0, 0, ""), "once is enough"
    assert b.ask(channel, "exec", "printf %s \"$TERM\" | od -An -c | tr -d ' \n'")
    out, _, status = b.said()
    assert status == 0 and out.startswith(b"033]0;evil"), out


@inside
def a_thousand_variables(s, b):
    channel = b.open_channel()
    taken = [b.ask(channel, "env", f"LC_{n}", "v" * 1000) for n in range(1000)]
    assert 0 < sum(taken) <= 64, "a few are enough for anybody"
    assert not b.ask(channel, "env", "LC_" + "x" * 100_000, "v")
    assert not b.ask(channel, "env", "LC_X=", EVIL * 1000)
    assert b.ask(channel, "exec", "echo alive; exit 3")
    assert b.said() == (b"alive\n", b"", 3)


@pytest.mark.parametrize("size", [4096, 30_000])
def test_long_commands(s, size):
    b = connect(s, "alice+osv1")
    words = "x" * (size - len("echo  | wc -c"))
    out, err, status = b.run(f"echo {words} | wc -c")
    assert (int(out), err, status) == (len(words) + 1, b"", 0)


@pytest.mark.parametrize("size", [40_000, 250_000])
def test_commands_that_are_too_long(s, size):
    b = connect(s, "alice+osv1")
    assert not b.ask(b.open_channel(), "exec", "x" * size)
    works(b)


@pytest.mark.parametrize("command, out", [
    ("echo 'a\nb'", b"a\nb\n"),
    ("printf '%s %%s\\n' \"%n\"", b"%n %s\n"),
    ("echo \"'\"; echo '\"'", b"'\n\"\n"),
    ("echo \x1b[31m", b"\x1b[31m\n"),
    (b"echo \xff\xfe", b"\xff\xfe\n"),
    ("echo one\0; echo two", b"one\n"),
    ("", b""),
    (" ", b""),
])
def test_odd_commands_run_as_they_are(s, command, out):
    b = connect(s, "alice+osv1")
    assert b.run(command) == (out, b"", 0)


@inside
def confirms_what_nobody_opened(s, b):
    """libssh takes a packet size of nothing before it looks at it, and would then write pieces of nothing for ever."""
    channel = b.open_channel()
    assert b.ask(channel, "exec", "sleep 0.3; echo much")
    b.send(MSG_CHANNEL_OPEN_SUCCESS, channel, 0, 1 << 21, 0)
    ends(b)


@inside
def takes_nothing(s, b):
    """No window, and packets of no size, of one byte: that channel waits, another goes on."""
    stuck = b.open_channel(number=5, window=0)
    assert b.ask(stuck, "exec", "head -c 3000000 /dev/zero")
    assert b.open_channel(packet=0) is None
    small = b.open_channel(packet=1)
    assert b.ask(small, "exec", "echo small")
    assert b.said() == (b"small\n", b"", 0)


@inside
def a_window_that_overflows(s, b):
    channel = b.open_channel()
    assert b.ask(channel, "exec", "sleep 0.3")
    with contextlib.suppress(OSError):
        for _ in range(3):
            b.send(MSG_CHANNEL_WINDOW_ADJUST, channel, 0xFFFFFFFF)
    ends(b)


@inside
def more_bytes_than_the_window_allows(s, b):
    channel = b.open_channel()
    assert b.ask(channel, "exec", "sleep 1; wc -c")
    with contextlib.suppress(OSError):
        for _ in range(400):
            b.send(MSG_CHANNEL_DATA, channel, b"x" * 32768)
    ends(b)


@inside
def extended_bytes(s, b):
    """They mean nothing from a client (RFC 4254 5.2), and stand in nothing's way."""
    channel = b.open_channel()
    assert b.ask(channel, "exec", "cat")
    b.pour(b"x" * 16384, 600, channel, MSG_CHANNEL_EXTENDED_DATA, 1)
    b.send(MSG_CHANNEL_DATA, channel, b"in between\n")
    b.send(MSG_CHANNEL_EOF, channel)
    assert b.said() == (b"in between\n", b"", 0)


@inside
def new_keys_again_and_again(s, b):
    channel = b.open_channel()
    assert b.ask(channel, "exec", "wc -l")
    for _ in range(20):
        b.exchange()
        b.send(MSG_CHANNEL_DATA, channel, b"line\n")
    b.send(MSG_CHANNEL_EOF, channel)
    assert b.said() == (b"20\n", b"", 0)


@inside
def exchanges_begun_again_without_end(s, b):
    channel = b.open_channel()
    assert b.ask(channel, "exec", "cat")
    with contextlib.suppress(OSError):
        for _ in range(1000):
            b.raw(b.sealed(b.kexinit()))
    ends(b)


@inside
def keys_again_without_an_exchange(s, b):
    b.send(MSG_NEWKEYS)
    ends(b)


@inside
def a_packet_that_is_too_long(s, b):
    with contextlib.suppress(OSError):
        b.send(MSG_CHANNEL_OPEN, "x" * (1 << 20), 0, 0, 0)
    ends(b)


@inside
def leaves_with_escapes(s, b):
    channel = b.open_channel()
    assert b.ask(channel, "exec", "cat")
    b.send(MSG_DISCONNECT, 11, EVIL * 100, EVIL)
    ends(b)


@inside
def leaves_in_a_packet(s, b):
    channel = b.open_channel()
    assert b.ask(channel, "exec", "cat")
    b.raw(b.sealed(bytes([MSG_CHANNEL_DATA]) + packed(channel, b"x" * 1000))[:500])
    b.close(reset=True)


@inside
def signals_that_are_none(s, b):
    channel = b.open_channel()
    assert b.ask(channel, "exec", "read x; echo $x")
    for name in ("", EVIL, "x" * 10_000, "%s%n", "SIGKILL"):
        b.send(MSG_CHANNEL_REQUEST, channel, "signal", False, name)
    b.send(MSG_CHANNEL_DATA, channel, b"alive\n")
    assert b.said() == (b"alive\n", b"", 0)


@pytest.mark.parametrize("name", INSIDE)
def test_inside(s, name):
    INSIDE[name](s, connect(s, "alice+osv1"))


HOSTS = ["", " ", "osv1 ", EVIL, "osv1\n", "osv1\0", "osv1\0.example.org", "%s%n", "'\"`", "../osv1", "-oProxyCommand=x",
         b"\xff\xfe", "x" * 65, "x" * 256, "x" * 4096, "x" * 30_000, "osv1+", "osv1+srx+more", "[osv1]", "0", "127.1", "::1", "0x7f000001",
         "localhost.", "osv9"]


@pytest.mark.parametrize("host", HOSTS, ids=[ascii(h)[:30] for h in HOSTS])
def test_a_host_of_no_use(s, host):
    """Refused, in words that are safe to show, whatever the port; a name that could be a target's is asked about inside."""
    b = connect(s, "alice")
    for port in (22, 80, 0, 65536 + 22, 0xFFFFFFFF):
        b.send(MSG_CHANNEL_OPEN, "direct-tcpip", 0, 1 << 21, 32768, host, port, "127.0.0.1", 1)
        number, m = b.until(MSG_CHANNEL_OPEN_SUCCESS, MSG_CHANNEL_OPEN_FAILURE)
        if number == MSG_CHANNEL_OPEN_SUCCESS:
            assert port == 22 and re.fullmatch(rb"[\w.-]{1,64}(\0.*)?", host.encode()), (host, port)
            m.get_int()
            b.send(MSG_CHANNEL_CLOSE, m.get_int())
            b.until(MSG_CHANNEL_CLOSE)
            continue
        m.get_int(), m.get_int()
        words = m.get_binary()
        assert words.startswith(b"lodge: ") and not re.search(rb"[^ -~]", words), words
    works_for_a_person(b)


def works_for_a_person(b):
    out, _, status = b.run("help")
    assert status == 0 and b"request" in out


# ---- many connections asked for ----


def opened_many(b, count, host, port, then=lambda: None):
    """Asks for so many at once: [(answer, what was said)]."""
    for n in range(count):
        b.send(MSG_CHANNEL_OPEN, "direct-tcpip", n, 1 << 21, 32768, host, port, "127.0.0.1", n)
    answers = []
    while len(answers) < count:
        number, m = b.until(MSG_CHANNEL_OPEN_SUCCESS, MSG_CHANNEL_OPEN_FAILURE)
        m.get_int()
        answers.append((number, m.get_int(), m.get_binary() if number == MSG_CHANNEL_OPEN_FAILURE else b""))
    return answers


def test_two_hundred_forwards_without_a_grant(s):
    b = connect(s, "alice+osv1")
    answers = opened_many(b, 200, "127.0.0.1", 1)
    assert all(number == MSG_CHANNEL_OPEN_FAILURE and words.startswith(b"lodge: denied [") for number, _, words in answers)
    works(b)


def test_two_hundred_forwards_within_a_grant(s, echoes):
    """As many as channels may be are carried; the others are refused."""
    b = connect(s, "alice+osv1")
    answers = opened_many(b, 200, "127.0.0.1", echoes)
    carried = [channel for number, channel, _ in answers if number == MSG_CHANNEL_OPEN_SUCCESS]
    refused = {re.match(rb"lodge: [^\]]*\]", words).group() for number, _, words in answers if words}
    assert len(carried) == 64 and refused == {b"lodge: denied [limit]"}, (len(carried), refused)
    for channel in carried:
        b.send(MSG_CHANNEL_DATA, channel, b"echo %d" % channel)
    told = set()
    while len(told) < len(carried):
        _, m = b.until(MSG_CHANNEL_DATA)
        m.get_int()
        told.add(m.get_binary())
    assert told == {b"echo %d" % channel for channel in carried}
    for channel in carried:
        b.send(MSG_CHANNEL_EOF, channel)
        b.send(MSG_CHANNEL_CLOSE, channel)
    for _ in carried:
        b.until(MSG_CHANNEL_CLOSE)
    works(b)


# ---- nested ----


@pytest.fixture
def outer(s):
    one = paramiko.Transport(socket.create_connection(("127.0.0.1", s.port)))
    s.closing.append(one)
    one.connect(username="alice", pkey=paramiko.Ed25519Key(filename=str(s.dir / "clients/alice")))
    return one


def carrier(outer):
    return outer.open_channel("direct-tcpip", ("osv1", 22), ("127.0.0.1", 1))


def inner(s, outer):
    one = paramiko.Transport(carrier(outer))
    s.closing.append(one)
    one.connect(username=s.account, pkey=paramiko.Ed25519Key(filename=str(s.dir / "clients/alice")))
    return one


def inner_works(s, outer):
    channel = inner(s, outer).open_session()
    channel.exec_command("echo inner")
    assert channel.makefile().read() == b"inner\n"
    assert channel.recv_exit_status() == 0


def test_sixteen_are_nested_and_no_more(s, outer):
    many = [inner(s, outer) for _ in range(16)]
    for _ in range(4):
        with pytest.raises(paramiko.ChannelException) as refused:
            carrier(outer)
        assert refused.value.code == 4  # SSH_OPEN_RESOURCE_SHORTAGE
    channels = [one.open_session() for one in many]
    for n, one in enumerate(channels):
        one.exec_command(f"echo {n}")
    for n, one in enumerate(channels):
        assert one.makefile().read() == b"%d\n" % n
    for one in many:
        one.close()

    def room():
        with contextlib.suppress(paramiko.ChannelException):
            return carrier(outer)

    wait_for(room, "room for another").close()


@pytest.mark.parametrize("words", [
    b"", b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n" + bytes(100), b"SSH-2.0-" + b"x" * 100_000 + b"\r\n",
    b"SSH-2.0-x\r\n" + b"\xff" * 100_000, os.urandom(1_000_000)], ids=range(6))
def test_garbage_in_a_nested_one(s, outer, words):
    channel = carrier(outer)
    with contextlib.suppress(OSError):
        channel.sendall(words)
        channel.shutdown_write()
    channel.settimeout(20)
    while channel.recv(65536):
        pass
    inner_works(s, outer)


def test_a_nested_one_that_never_reads(s, outer):
    """Its own flow stands; the others go on, and memory stays flat."""
    one = inner(s, outer)
    stuck = one.open_session(window_size=1 << 31)
    go_on = threading.Event()

    def read_no_more():
        go_on.wait(60)
        raise EOFError

    one.packetizer.read_message = read_no_more  # from its thread's next packet on
    m = paramiko.Message()
    m.add_byte(bytes([MSG_CHANNEL_REQUEST]))
    m.add_int(stuck.remote_chanid)
    m.add_string("exec")
    m.add_boolean(False)
    m.add_string("exec head -c 300000000 /dev/zero")
    one._send_message(m)
    inner_works(s, outer)
    stays_flat(s.beside, s.beside.other())
    inner_works(s, outer)
    go_on.set()
    one.join(20)


# ---- answers that nobody reads ----


QUESTIONS = {
    "global requests": (MSG_GLOBAL_REQUEST, "nonsense@example.org", True),
    "global requests in an exchange": (MSG_GLOBAL_REQUEST, "nonsense@example.org", True),
    "channels": (MSG_CHANNEL_OPEN, "nonsense@example.org", 0, 1, 1),
}


@pytest.mark.parametrize("what", QUESTIONS)
def test_answers_that_nobody_reads_fill_no_memory(s, what):
    """It asks and asks, and reads none of the answers: it is left."""
    b = connect(s, "alice+osv1")
    number, *fields = QUESTIONS[what]
    if "exchange" in what:
        b.raw(b.sealed(b.kexinit()))
    ask_without_reading(b, s.beside.other(), lambda: b.sealed(bytes([number]) + packed(*fields)))


# ---- who never pauses ----


ENDLESS = {
    "ignore": (MSG_IGNORE, "x" * 1000),
    "global requests": (MSG_GLOBAL_REQUEST, "nonsense@example.org", False),
    "forwards": (MSG_GLOBAL_REQUEST, "cancel-tcpip-forward", False, "127.0.0.1", 22),
    "sizes": (MSG_CHANNEL_REQUEST, 0, "window-change", False, 80, 24, 0, 0),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_who_never_pauses_is_ended_in_order(s, what):
    """A manager's order reaches the session between all that it is told, and she reads of it."""
    b = connect(s, "alice+osv1")
    channel = b.open_channel()
    assert b.ask(channel, "exec", "echo in; cat")
    b.until(MSG_CHANNEL_DATA)
    number, *fields = ENDLESS[what]
    if number == MSG_CHANNEL_REQUEST:
        fields[0] = channel

    def pour():
        with contextlib.suppress(OSError):
            while True:
                b.raw(b"".join(b.sealed(bytes([number]) + packed(*fields)) for _ in range(100)))

    one = threading.Thread(target=pour)
    one.start()
    ours = [r for r in s.json("maria", "sessions") if r["session"] != s.beside.number]
    s.verb("maria", "end", str(ours[0]["session"]), "--why", "enough of it")
    _, err, status = b.said()
    assert status == 124 and b"lodge: ended [ended]" in err and b"enough of it" in err, (status, err)
    b.close()
    one.join()


# ---- cut anywhere ----


class Cutter:
    """Carries connections to a port, and resets each after so many bytes one way."""

    def __init__(self, port):
        self.target, self.limits = port, []  # (0 to the port, 1 from it; bytes)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                one = self.listener.accept()[0]
                other = socket.create_connection(("127.0.0.1", self.target))
                threading.Thread(target=self._carry, args=(one, other, *self.limits.pop()), daemon=True).start()

    @staticmethod
    def _carry(one, other, way, limit):
        left = [1 << 40, 1 << 40]
        left[way] = limit
        there = {one: (other, 0), other: (one, 1)}
        with contextlib.suppress(OSError):
            while left[way] > 0 and there:
                for here in select.select(list(there), [], [])[0]:
                    to, n = there[here]
                    data = here.recv(min(65536, left[n]))
                    left[n] -= len(data)
                    to.sendall(data) if data else to.shutdown(socket.SHUT_WR)
                    if not data:
                        del there[here]
        for each in (one, other):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.close()


@pytest.mark.parametrize("way", [0, 1], ids=["up", "down"])
@pytest.mark.parametrize("jump", [False, True], ids=["direct", "jump"])
def test_cut_after_any_byte(s, way, jump):
    """Of key exchange, login, opening, bytes: whatever she had begun is gone, and nothing else is touched."""
    cutter = Cutter(s.port)
    with open(s.dir / "cut_config", "w") as f:
        f.write(f"Host 127.0.0.1\n    Port {cutter.port}\n    HostKeyAlias [127.0.0.1]:{s.port}\n    LogLevel QUIET\n"
                f"Host osv1\n    User {s.account}\n    HostKeyAlias [127.0.0.1]:{s.port}\n    ProxyJump alice@127.0.0.1\n"
                f"    LogLevel QUIET\nHost *\n    UserKnownHostsFile {s.dir}/clients/known_hosts\n"
                f"    IdentityFile {s.dir}/clients/alice\n    IdentitiesOnly yes\n    IdentityAgent none\n")
    place = ["osv1"] if jump else ["alice+osv1@127.0.0.1"]
    points = [0, 1, 20, *range(40, 12_000 if jump else 7_000, 500)]
    for at in range(0, len(points), 4):
        cutter.limits = [(way, point) for point in points[at : at + 4]]
        many = [
            subprocess.Popen(["ssh", "-T", "-F", s.dir / "cut_config", *place, "head -c 3000; cat >/dev/null"],
                             stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in points[at : at + 4]]
        for one in many:
            with contextlib.suppress(OSError):
                one.stdin.write(bytes(20_000))
                one.stdin.close()
        for one in many:
            one.wait(30)
    s.beside.check()
    cutter.listener.close()


# ---- silence: the clock is turned ----


def test_a_nested_one_that_does_not_log_in_is_left(s, outer):
    """The outer connection, and what is nested beside it, go on."""
    silent, half = carrier(outer), carrier(outer)
    half.sendall(b"SSH-2.0-half\r\n" + struct.pack(">IB", 1000, 10) + bytes(100))
    beside = inner(s, outer).open_session()
    beside.exec_command("cat")
    beside.sendall(b"before\n")
    assert beside.recv(100) == b"before\n"
    s.turn(GRACE)
    for channel in (silent, half):
        channel.settimeout(20)
        while channel.recv(65536):
            pass
    beside.sendall(b"after\n")
    assert beside.recv(100) == b"after\n"
    beside.close()


def test_who_does_not_log_in_is_left(s):
    """Silent from the start, in a packet, behind the keys, in the login: LoginGraceTime is for all of it."""
    many = [plain(s) for _ in range(4)]
    many[1].versions()
    many[1].raw(many[1].sealed(many[1].kexinit())[:50])
    many += [connect(s), connect(s)]
    many[-1].service()
    s.beside.check()
    s.turn(GRACE)
    for one in many:
        ends(one)


# ---- and at the end ----


def test_all_of_it_is_good(s):
    assert not re.search("ended by signal (?!9)", s.log()), "9: gateway's hand on one that was too slow"
    s.beside.end()
