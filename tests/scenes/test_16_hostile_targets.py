"""A target that is broken, or that somebody else has taken over, hurts nobody but who visits it.

Whatever it sends, or never sends, the engineer's ssh ends with the right reason or goes on; nothing of the target's own
words for it reaches her terminal raw; another visit goes on all the while; no process is left, and every recording is good.

One file, for all of it is one list: each act of a target's is a short function, in the table of its phase.
"""

import os
import re
import struct
import subprocess
import threading
import time

import pytest
from bare_ssh import (
    MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN, MSG_CHANNEL_OPEN_FAILURE, MSG_CHANNEL_OPEN_SUCCESS, MSG_CHANNEL_REQUEST, MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST, MSG_KEX_ECDH_REPLY, MSG_NEWKEYS, MSG_SERVICE_ACCEPT, MSG_SERVICE_REQUEST,
    MSG_USERAUTH_FAILURE, MSG_USERAUTH_REQUEST, MSG_USERAUTH_SUCCESS, Ed25519PrivateKey, Raw, Target,
    client, key_line, packed)
from site_of_lodge import wait_for
from undisturbed import Beside, ask_without_reading, stays_flat, watched_site

from conftest import kept

MSG_DISCONNECT, MSG_IGNORE, MSG_UNIMPLEMENTED, MSG_DEBUG = 1, 2, 3, 4
MSG_USERAUTH_BANNER, MSG_USERAUTH_INFO_REQUEST, MSG_GLOBAL_REQUEST = 53, 60, 80
MSG_REQUEST_SUCCESS, MSG_REQUEST_FAILURE = 81, 82
EVIL = "\x1b]0;evil\x07\x1b[31mred\x9b2J\r\n"  # what must not reach a terminal
ENTER = 61  # seconds: more than a visit may take to begin (session/visit.h)


@pytest.fixture(scope="module")
def site(request):
    yield from kept(request, watched_site())


@pytest.fixture(scope="module")
def target():
    one = Target()
    yield one
    one.close()


@pytest.fixture(scope="module")
def s(site, target):
    """osv1 and osv3, which may open more, are ours to play; osv2 is a stock sshd."""
    stock = " ".join((site.dir / "osv1/host_ed25519.pub").read_text().split()[:2])
    added = site.lodge("target", "add", "osv2", "--address", f"127.0.0.1:{site.facts['sshd_port']}",
                       "--account", site.account, "--host-key", stock)
    assert added.returncode == 0, added.stderr
    ours = ("--address", f"127.0.0.1:{target.port}", "--host-key", key_line(target.key))
    for words in (("change", "osv1"), ("add", "osv3", "--account", site.account)):
        changed = site.lodge("target", *words, *ours)
        assert changed.returncode == 0, changed.stderr
    for words in (("osv1",), ("osv2",), ("osv3", "--with", "agent,x11,reverse,socket")):
        said = site.verb("alice", "request", *words, "--for", "20h", "--why", "odd")
        site.approve(re.search(r"request (\d+)", said).group(1), "--for", "20h")
    site.beside = Beside(site, "alice+osv2")
    return site


@pytest.fixture(autouse=True)
def undisturbed(s, target):
    """After each scene: nobody else noticed, and nothing is left."""
    target.trouble = None
    yield
    target.end()
    s.beside.alone()
    assert target.trouble is None, target.trouble


def visit(s, target, play, *words, stdin=b""):
    """A command on osv1 while it plays that."""
    target.play = play
    done = s.ssh("alice+osv1", *(words or ("command",)), stdin=stdin or b"input\n")
    assert not set(done.stderr) & set(b"\x1b\x07\x9b\r"), done.stderr[:1000]
    return done


def ended(done, status, reason):
    assert done.returncode == status and b"[%s]" % reason.encode() in done.stderr, (done.returncode, done.stderr[:2000])


# ---- before the login ----

BEFORE = {}  # name: (what it plays, status, reason)


def before(reason, status=69):
    def keep(play):
        BEFORE[play.__name__] = play, status, reason
        return play

    return keep


def exchanged(b):
    b.versions()
    b.exchange()


@before("unreachable")
def closes_at_once(b):
    pass


@before("unreachable")
def resets(b):
    b.close(reset=True)


@before("unreachable")
def sends_garbage(b):
    b.raw(os.urandom(100_000))


@before("unreachable")
def speaks_http(b):
    b.raw(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n" * 100)


@before("unreachable")
def version_of_a_megabyte(b):
    b.raw(b"SSH-2.0-" + b"x" * 1_000_000 + b"\r\n")
    b.drain()


@before("unreachable")
def version_one(b):
    b.own = b"SSH-1.5-old"
    exchanged(b)


@before("unreachable")
def version_with_escapes(b):
    b.own = b"SSH-1.5-" + EVIL.strip().encode()
    exchanged(b)


@before("unreachable")
def garbage_after_the_version(b):
    b.versions()
    b.raw(os.urandom(100_000))
    b.drain()


@before("unreachable")
def huge_packet_before_keys(b):
    b.versions()
    b.raw(b.sealed(b.kexinit(), length=0xFFFFFFFF))
    b.drain()


@before("unreachable")
def empty_packet_before_keys(b):
    b.versions()
    b.raw(struct.pack(">IB", 0, 0) + bytes(100))
    b.drain()


@before("unreachable")
def half_a_packet_before_keys(b):
    b.versions()
    b.raw(b.sealed(b.kexinit())[:100])


@before("no-common")
def nothing_in_common(b):
    b.versions()
    b.exchange(algorithms=(b"nothing@example.org",) * 8)


@before("no-common")
def lists_of_200_kilobytes(b):
    b.versions()
    b.exchange(algorithms=(b"x," * 100_000 + b"curve25519-sha256",) + (b"none",) * 7)


@before("unreachable")
def keys_before_an_exchange(b):
    b.versions()
    for _ in range(3):
        b.send(MSG_NEWKEYS)
    b.drain()


@before("unreachable")
def logged_in_before_an_exchange(b):
    b.versions()
    b.raw(b.sealed(b.kexinit()))
    b.send(MSG_USERAUTH_SUCCESS)
    b.send(MSG_CHANNEL_OPEN_SUCCESS, 0, 0, 1 << 21, 32768)
    b.drain()


@before("unreachable")
def a_point_of_no_use(b):
    b.versions()
    b.raw(b.sealed(b.kexinit()))
    b.send(MSG_KEX_ECDH_REPLY, b"", b"\0" * 32, b"")
    b.drain()


@before("unreachable")
def a_wrong_signature(b):
    b.versions()
    b.exchange(sign=lambda digest: bytes(64))


@before("host-key", status=76)
def another_host_key(b):
    b.host_key = Ed25519PrivateKey.generate()
    exchanged(b)
    b.drain()


@before("target-login")
def disconnects_with_escapes(b):
    exchanged(b)
    b.until(MSG_SERVICE_REQUEST)
    b.send(MSG_DISCONNECT, 2, EVIL * 100, "")


@before("unreachable")
def disconnects_at_once_with_escapes(b):
    b.versions()
    b.send(MSG_DISCONNECT, 2, EVIL * 100, "")
    b.drain()


def refuses_all(b, methods):
    exchanged(b)
    b.until(MSG_SERVICE_REQUEST)
    b.send(MSG_SERVICE_ACCEPT, "ssh-userauth")
    while True:
        b.until(MSG_USERAUTH_REQUEST)
        b.send(MSG_USERAUTH_FAILURE, methods, False)


@before("target-login")
def refuses_the_certificate(b):
    refuses_all(b, "publickey")


@before("target-login")
def wants_a_password_at_a_prompt(b):
    refuses_all(b, "keyboard-interactive")


@before("target-login")
def wants_something_more(b):
    exchanged(b)
    b.until(MSG_SERVICE_REQUEST)
    b.send(MSG_SERVICE_ACCEPT, "ssh-userauth")
    b.until(MSG_USERAUTH_REQUEST)
    b.send(MSG_USERAUTH_FAILURE, "keyboard-interactive", True)
    b.drain()


@before("target-login")
def asks_a_question_unasked(b):
    exchanged(b)
    b.until(MSG_SERVICE_REQUEST)
    b.send(MSG_SERVICE_ACCEPT, "ssh-userauth")
    b.until(MSG_USERAUTH_REQUEST)
    b.send(MSG_USERAUTH_INFO_REQUEST, EVIL, EVIL, "", 1, EVIL, True)
    b.drain()


@before("target-login")
def closes_in_the_login(b):
    exchanged(b)
    b.until(MSG_SERVICE_REQUEST)


@before("target-login")
def closes_in_a_packet(b):
    exchanged(b)
    b.until(MSG_SERVICE_REQUEST)
    b.raw(b.sealed(bytes([MSG_SERVICE_ACCEPT]) + packed("ssh-userauth"))[:20])


@before("target-login")
def banner_of_a_megabyte(b):
    exchanged(b)
    b.until(MSG_SERVICE_REQUEST)
    b.send(MSG_SERVICE_ACCEPT, "ssh-userauth")
    b.send(MSG_USERAUTH_BANNER, "x" * (1 << 20), "")
    b.drain()


@pytest.mark.parametrize("name", BEFORE)
def test_before_the_login(s, target, name):
    play, status, reason = BEFORE[name]
    done = visit(s, target, play)
    ended(done, status, reason)
    assert done.stdout == b""


# ---- in a channel ----


INSIDE = {}  # name: (what it plays, status, reason or None, standard output)


def inside(status=0, reason=None, out=b""):
    def keep(play):
        INSIDE[play.__name__] = play, status, reason, out
        return play

    return keep


def entered(b):
    exchanged(b)
    b.let_in()


def running(b, **how):
    entered(b)
    channel = b.opened(**how)
    b.started(channel)
    b.heard()
    return channel


@inside(out=b"hello\n")
def is_as_it_should_be(b):
    channel = running(b)
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.finish(channel)


@inside(3, out=b"hello\n")
def says_all_at_once(b):
    """Before it was read that the command runs."""
    entered(b)
    channel = b.opened()
    b.until(MSG_CHANNEL_REQUEST)
    b.raw(b"".join(b.sealed(bytes([number]) + packed(channel, *fields)) for number, *fields in [
        (MSG_CHANNEL_SUCCESS,), (MSG_CHANNEL_DATA, b"hello\n"), (MSG_CHANNEL_REQUEST, "exit-status", False, 3),
        (MSG_CHANNEL_EOF,), (MSG_CHANNEL_CLOSE,)]))
    b.until(MSG_CHANNEL_CLOSE)


@inside(out=b"hello\n")
def a_megabyte_of_lines_before_its_version(b):
    b.versions(before=(b"x" * 200 + b"\r\n") * 5000)
    b.exchange()
    b.let_in()
    channel = b.opened()
    b.started(channel)
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.finish(channel)


@inside(out=b"hello\n")
def many_banners(b):
    exchanged(b)
    b.until(MSG_SERVICE_REQUEST)
    b.send(MSG_SERVICE_ACCEPT, "ssh-userauth")
    for _ in range(1000):
        b.send(MSG_USERAUTH_BANNER, EVIL * 40, "")
    b.until(MSG_USERAUTH_REQUEST)
    b.send(MSG_USERAUTH_SUCCESS)
    channel = b.opened()
    b.started(channel)
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.finish(channel)


@inside(out=b"hello\n")
def opens_channels_back(b):
    channel = running(b)
    for number, (kind, fields) in enumerate([
        ("session", ()),
        ("x11", ("127.0.0.1", 6000)),
        ("forwarded-tcpip", ("127.0.0.1", 22, "127.0.0.1", 1)),
        ("forwarded-streamlocal@openssh.com", ("/tmp/x", "")),
        ("auth-agent@openssh.com", ()),
        ("direct-tcpip", ("127.0.0.1", 22, "127.0.0.1", 1)),
        (EVIL * 100, ()),
        ("session" + "x" * 30000, ()),
    ] * 20):
        b.send(MSG_CHANNEL_OPEN, kind, 100 + number, 1 << 21, 32768, *fields)
        answer, m = b.until(MSG_CHANNEL_OPEN_FAILURE, MSG_CHANNEL_OPEN_SUCCESS)
        assert answer == MSG_CHANNEL_OPEN_FAILURE and m.get_int() == 100 + number
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.finish(channel)


@inside(out=b"hello\n")
def asks_for_things(b):
    """What a client asks a server for, and what nobody asks for: each is answered, with a failure."""
    channel = running(b)
    for name, fields in [
        ("shell", ()), ("exec", ("id",)), ("subsystem", ("sftp",)), ("env", ("A", "b")), ("x11-req", (True, "a", "b", 0)),
        ("pty-req", ("xterm", 80, 24, 0, 0, "")), ("auth-agent-req@openssh.com", ()), (EVIL, ()), ("", ()),
    ]:
        b.send(MSG_CHANNEL_REQUEST, channel, name, True, *fields)
        answer, m = b.until(MSG_CHANNEL_SUCCESS, MSG_CHANNEL_FAILURE)
        assert answer == MSG_CHANNEL_FAILURE, name
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.finish(channel)


@inside(69, "target-gone")
def opens_no_channel(b):
    entered(b)
    _, m = b.until(MSG_CHANNEL_OPEN)
    m.get_string()
    b.send(MSG_CHANNEL_OPEN_FAILURE, m.get_int(), 2, EVIL, "")
    b.drain()


@inside(69, "target-gone")
def runs_nothing(b):
    entered(b)
    channel = b.opened()
    b.until(MSG_CHANNEL_REQUEST)
    b.send(MSG_CHANNEL_FAILURE, channel)
    b.drain()


@inside(69, "target-gone")
def confirms_twice(b):
    channel = running(b)
    b.send(MSG_CHANNEL_OPEN_SUCCESS, channel, 9, 1 << 21, 32768)
    b.drain()


@inside(out=b"hello\n")
def answers_what_nobody_asked(b):
    channel = running(b)
    b.send(MSG_CHANNEL_OPEN_FAILURE, channel, 1, "x", "")
    b.send(MSG_CHANNEL_OPEN_FAILURE, channel + 1, 1, "x", "")
    b.send(MSG_CHANNEL_SUCCESS, channel)
    b.send(MSG_CHANNEL_FAILURE, channel)
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.finish(channel)


@inside(69, "target-gone")
def closes_before_it_starts(b):
    entered(b)
    channel = b.opened()
    b.until(MSG_CHANNEL_REQUEST)
    b.send(MSG_CHANNEL_EOF, channel)
    b.send(MSG_CHANNEL_CLOSE, channel)
    b.drain()


@inside(69, "target-gone")
def disconnects_while_it_runs(b):
    running(b)
    b.send(MSG_DISCONNECT, 2, EVIL * 100, "")
    b.drain()


@inside(69, "target-gone", out=b"hello\n")
def closes_in_a_packet_while_it_runs(b):
    """What came before is hers."""
    entered(b)
    channel = b.opened()
    b.started(channel)
    b.until(MSG_CHANNEL_DATA)  # what she types: bytes flow
    words = b.sealed(bytes([MSG_CHANNEL_DATA]) + packed(channel, b"hello\n"))
    b.raw(words + b.sealed(bytes([MSG_CHANNEL_DATA]) + packed(channel, b"x" * 1000))[:500])
    b.leave()


@inside(69, "target-gone")
def a_wrong_mac(b):
    channel = running(b)
    packet = b.sealed(bytes([MSG_CHANNEL_DATA]) + packed(channel, b"x" * 1000))
    b.raw(packet[:-1] + bytes([packet[-1] ^ 1]))
    b.drain()


@inside(69, "target-gone")
def a_packet_that_is_too_long(b):
    channel = running(b)
    b.send(MSG_CHANNEL_DATA, channel, b"x" * (1 << 20))
    b.drain()


@inside(69, "target-gone")
def a_packet_that_says_four_gigabytes(b):
    channel = running(b)
    b.raw(b.sealed(bytes([MSG_CHANNEL_DATA]) + packed(channel, b"x"), length=0xFFFFFFFF))
    b.drain()


@inside(out=b"x" * 262_000)
def a_packet_larger_than_was_agreed(b):
    channel = running(b)
    b.send(MSG_CHANNEL_DATA, channel, b"x" * 262_000)
    b.finish(channel)


@inside(69, "target-gone")
def a_window_that_overflows(b):
    channel = running(b)
    for _ in range(3):
        b.send(MSG_CHANNEL_WINDOW_ADJUST, channel, 0xFFFFFFFF)
    b.drain()


@inside(69, "target-gone")
def packets_of_no_size(b):
    running(b, packet=0)


@inside(out=b"hello\n")
def packets_of_one_byte(b):
    channel = running(b, packet=1)
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.finish(channel)


@inside(out=b"hello\n")
def bytes_for_channels_that_are_not(b):
    channel = running(b)
    for number in (channel + 1, 0xFFFFFFFF, 12345):
        b.send(MSG_CHANNEL_DATA, number, b"evil\n")
        b.send(MSG_CHANNEL_EXTENDED_DATA, number, 1, b"evil\n")
        b.send(MSG_CHANNEL_WINDOW_ADJUST, number, 1000)
        b.send(MSG_CHANNEL_REQUEST, number, "exit-status", False, 9)
        b.send(MSG_CHANNEL_REQUEST, number, "nonsense", True)
        b.send(MSG_CHANNEL_SUCCESS, number)
        b.send(MSG_CHANNEL_EOF, number)
        b.send(MSG_CHANNEL_CLOSE, number)
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.finish(channel)


@inside(3, out=b"hello\n")
def ends_twice(b):
    channel = running(b)
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.send(MSG_CHANNEL_REQUEST, channel, "exit-status", False, 3)
    for _ in range(2):
        b.send(MSG_CHANNEL_EOF, channel)
    for _ in range(2):
        b.send(MSG_CHANNEL_CLOSE, channel)
    b.send(MSG_CHANNEL_REQUEST, channel, "exit-status", False, 4)
    b.send(MSG_CHANNEL_DATA, channel, b"late\n")
    b.drain()


@inside(255, out=b"hello\n")
def says_its_status_too_late(b):
    channel = running(b)
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.send(MSG_CHANNEL_EOF, channel)
    b.send(MSG_CHANNEL_CLOSE, channel)
    b.until(MSG_CHANNEL_CLOSE)
    b.send(MSG_CHANNEL_REQUEST, channel, "exit-status", False, 3)
    b.drain()


@inside(255)
def a_signal_of_ten_kilobytes(b):
    channel = running(b)
    b.send(MSG_CHANNEL_REQUEST, channel, "exit-signal", False, EVIL * 500, True, EVIL * 500, EVIL)
    b.send(MSG_CHANNEL_CLOSE, channel)
    b.until(MSG_CHANNEL_CLOSE)


@inside(0)
def requests_that_are_cut_short(b):
    channel = running(b)
    for name in ("exit-status", "exit-signal", "keepalive@openssh.com", "signal", "window-change", "pty-req"):
        b.send(MSG_CHANNEL_REQUEST, channel, name, False)
        b.send(MSG_CHANNEL_REQUEST, channel, name, True, Raw(b"\xff\xff\xff\xff"))
    b.send(MSG_CHANNEL_REQUEST, channel)
    b.send(MSG_CHANNEL_REQUEST)
    b.send(MSG_CHANNEL_DATA, channel)
    b.send(MSG_CHANNEL_DATA, channel, Raw(b"\0\0\x7f\xff"))
    b.send(MSG_CHANNEL_EXTENDED_DATA, channel)
    b.send(MSG_CHANNEL_WINDOW_ADJUST, channel)
    b.send(MSG_CHANNEL_OPEN, "session")
    b.send(MSG_GLOBAL_REQUEST)
    b.send(MSG_DEBUG)
    b.send(MSG_IGNORE)
    b.finish(channel)


@inside(out=b"hello\n")
def extended_bytes_of_no_known_kind(b):
    channel = running(b)
    for kind in (0, 2, 0xFFFFFFFF):
        b.send(MSG_CHANNEL_EXTENDED_DATA, channel, kind, b"odd ")
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.finish(channel)


@inside(out=b"hello\n")
def new_keys_on_the_way(b):
    channel = running(b)
    for _ in range(3):
        b.exchange()
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.finish(channel)


@inside(76, "host-key")
def another_host_key_later(b):
    running(b)
    b.host_key = Ed25519PrivateKey.generate()
    b.exchange()
    b.drain()


@inside(69, "target-gone")
def exchanges_begun_without_end(b):
    running(b)
    for _ in range(1000):
        b.raw(b.sealed(b.kexinit()))
    b.drain()


@inside(69, "target-gone")
def keys_without_an_exchange(b):
    running(b)
    b.send(MSG_NEWKEYS)
    b.send(MSG_KEX_ECDH_REPLY, b"", b"", b"")
    b.drain()


@inside(69, "target-gone")
def confirms_again_with_packets_of_no_size(b):
    """libssh takes the size before it looks at it, and would then cut what is written into pieces of nothing, for ever."""
    channel = running(b)
    b.send(MSG_CHANNEL_OPEN_SUCCESS, channel, 7, 1 << 21, 0)
    b.drain()


@inside(69, "target-gone")
def a_banner_after_the_login(b):
    running(b)
    b.send(MSG_USERAUTH_BANNER, EVIL, "")
    b.drain()


@inside(69, "target-gone")
def more_bytes_than_the_window_allows(b):
    """They must not vanish in the middle of a stream that goes on."""
    channel = running(b)
    b.send(MSG_CHANNEL_EXTENDED_DATA, channel, 2, Raw(struct.pack(">I", b.window + 1)))
    b.drain()


FLOODS = {  # of what may be ignored, or answered, or both
    "ignore": (MSG_IGNORE, EVIL),
    "debug": (MSG_DEBUG, True, EVIL, ""),
    "unimplemented": (MSG_UNIMPLEMENTED, 3),
    "unknown": (200, "what is this"),
    "host keys": (MSG_GLOBAL_REQUEST, "hostkeys-00@openssh.com", False, "x"),
    "keepalive": (MSG_GLOBAL_REQUEST, "keepalive@openssh.com", True),
    "global request": (MSG_GLOBAL_REQUEST, EVIL, True),
    "tcpip-forward": (MSG_GLOBAL_REQUEST, "tcpip-forward", True, "127.0.0.1", 22),
    "answer": (MSG_REQUEST_SUCCESS,),
    "channel keepalive": (MSG_CHANNEL_REQUEST, 0, "keepalive@openssh.com", True),
    "channel request": (MSG_CHANNEL_REQUEST, 0, "nonsense", True),
    "channel": (MSG_CHANNEL_OPEN, "session", 1, 1, 1),
    "window": (MSG_CHANNEL_WINDOW_ADJUST, 0, 1),
    "nothing": (MSG_CHANNEL_DATA, 0, b""),
}


@pytest.mark.parametrize("what", FLOODS)
def test_floods(s, target, what):
    number, *fields = FLOODS[what]

    def play(b):
        channel = running(b)
        if number >= 90 and number != MSG_CHANNEL_OPEN:
            fields[0] = channel
        reader = threading.Thread(target=b.drain)
        reader.start()
        for _ in range(3000):
            b.send(number, *fields)
        b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
        b.send(MSG_CHANNEL_REQUEST, channel, "exit-status", False, 0)
        b.send(MSG_CHANNEL_CLOSE, channel)
        reader.join()

    done = visit(s, target, play)
    assert (done.returncode, done.stdout) == (0, b"hello\n"), (done.returncode, done.stdout, done.stderr[:2000])


QUESTIONS = {
    "keepalives": (MSG_GLOBAL_REQUEST, "keepalive@openssh.com", True),
    "channels": (MSG_CHANNEL_OPEN, "nonsense@example.org", 0, 1, 1),
}


@pytest.mark.parametrize("what", QUESTIONS)
def test_answers_that_nobody_reads_fill_no_memory(s, target, what):
    """It asks and asks, and reads none of the answers: it is left."""
    number, *fields = QUESTIONS[what]

    def play(b):
        running(b)
        ask_without_reading(b, s.beside.other(), lambda: b.sealed(bytes([number]) + packed(*fields)))

    ended(visit(s, target, play), 69, "target-gone")


@pytest.mark.parametrize("name", INSIDE)
def test_inside(s, target, name):
    play, status, reason, out = INSIDE[name]
    done = visit(s, target, play)
    assert done.stdout == out, (done.returncode, done.stdout[:200], done.stderr[:2000])
    if reason is None:
        assert done.returncode == status, (done.returncode, done.stderr[:2000])
        assert b"lodge:" not in done.stderr
    else:
        ended(done, status, reason)


# ---- much of it ----


def test_a_hundred_megabytes_of_standard_error(s, target):
    block = os.urandom(32768)
    count = 100 * 1024 * 1024 // len(block)

    def play(b):
        channel = running(b)
        b.pour(block, count, channel, MSG_CHANNEL_EXTENDED_DATA, 1)
        b.finish(channel, 5)

    target.play = play
    done = s.ssh("alice+osv1", "command")
    assert (done.returncode, done.stdout) == (5, b"")
    assert done.stderr == block * count


@pytest.mark.parametrize("window", [0, 0xFFFFFFFF])
def test_who_takes_nothing_fills_no_memory(s, target, window):
    """A window of nothing, and one of everything with nobody behind it: what she types waits at her end."""
    ready, go_on = threading.Event(), threading.Event()

    def play(b):
        channel = running(b, window=window)
        ready.set()
        assert go_on.wait(60)
        b.send(MSG_CHANNEL_DATA, channel, b"done\n")
        b.send(MSG_CHANNEL_REQUEST, channel, "exit-status", False, 4)
        b.send(MSG_CHANNEL_CLOSE, channel)
        b.drain()

    target.play = play
    one = s.begin("alice+osv1", "command")
    feeder = subprocess.Popen(["head", "-c", "60000000", "/dev/zero"], stdout=one.stdin)
    one.stdin.close()
    assert ready.wait(30)
    stays_flat(s.beside, s.beside.other())
    go_on.set()
    assert (one.stdout.read(), one.wait(30)) == (b"done\n", 4)
    feeder.wait(10)


# ---- what a target may open back ----


def back(s, target, play):
    """A client that asked for its agent and for X11 at the target, which plays that."""
    target.play = play
    b = client(s, "alice+osv3")
    channel = b.open_channel(number=1)
    assert b.ask(channel, "auth-agent-req@openssh.com") and b.ask(channel, "x11-req", False, "MIT-MAGIC-COOKIE-1", "00", 0)
    assert b.ask(channel, "exec", "command")
    return b


BACK = [("auth-agent@openssh.com",), ("x11", "127.0.0.1", 6000)]


@pytest.mark.parametrize("kind", BACK, ids=lambda kind: kind[0])
def test_more_is_opened_back_than_anybody_takes(s, target, kind):
    """The client answers nothing; what is too much is refused, the command goes on, and all of it ends with it."""
    refused = []

    def play(b):
        channel = running(b)
        for number in range(200):
            b.send(MSG_CHANNEL_OPEN, kind[0], 100 + number, 1 << 21, 32768, *kind[1:])
        while len(refused) < 137:
            _, m = b.until(MSG_CHANNEL_OPEN_FAILURE)
            refused.append(m.get_int())
        b.finish(channel, 3)

    b = back(s, target, play)
    assert b.said()[2] == 3
    b.close()
    assert refused == list(range(163, 300)), refused


def opened_back(b):
    """As a client: (their number of it, its kind)."""
    _, m = b.until(MSG_CHANNEL_OPEN)
    kind = m.get_text()
    return m.get_int(), kind


@pytest.mark.parametrize("kind", BACK, ids=lambda kind: kind[0])
def test_what_is_opened_back_is_closed_at_odd_moments(s, target, kind):
    def play(b):
        channel = running(b)
        for number in range(5):
            b.send(MSG_CHANNEL_OPEN, kind[0], 100 + number, 1 << 21, 32768, *kind[1:])
        ours = {}
        for _ in range(5):  # the client refuses one, and takes one back at once
            number, m = b.until(MSG_CHANNEL_OPEN_SUCCESS, MSG_CHANNEL_OPEN_FAILURE)
            if number == MSG_CHANNEL_OPEN_SUCCESS:
                mine = m.get_int()
                ours[mine] = m.get_int()
        for their in ours.values():
            b.send(MSG_CHANNEL_DATA, their, b"x" * 30_000)
            b.send(MSG_CHANNEL_CLOSE, their)
            b.send(MSG_CHANNEL_CLOSE, their)
            b.send(MSG_CHANNEL_EOF, their)
        b.heard()
        b.finish(channel, 3)

    b = back(s, target, play)
    theirs = [opened_back(b) for _ in range(5)]
    assert {k for _, k in theirs} == {kind[0]}
    b.send(MSG_CHANNEL_OPEN_FAILURE, theirs[0][0], 2, "no", "")
    for n, (their, _) in enumerate(theirs[1:]):
        b.send(MSG_CHANNEL_OPEN_SUCCESS, their, 20 + n, 1 << 21, 32768)
    b.send(MSG_CHANNEL_DATA, theirs[1][0], b"y" * 30_000)
    b.send(MSG_CHANNEL_CLOSE, theirs[2][0])
    b.send(MSG_CHANNEL_CLOSE, theirs[2][0])
    while True:
        number, m = b.until(MSG_CHANNEL_REQUEST)
        m.get_int()
        if m.get_text() == "exit-status":
            break
    b.close()


def test_a_port_that_is_listened_on_is_one_port(s, target):
    """The target opens connections to other ports than the one it was asked for, and says yes once too often."""
    answers = []

    def play(b):
        channel = running(b)
        b.send(MSG_CHANNEL_DATA, channel, b"in\n")
        b.until(MSG_GLOBAL_REQUEST)
        b.send(MSG_REQUEST_SUCCESS)
        b.send(MSG_REQUEST_SUCCESS)
        for port in (8022, 8023, 22, 65536 + 8022):
            b.send(MSG_CHANNEL_OPEN, "forwarded-tcpip", port, 1 << 21, 32768, "127.0.0.1", port, EVIL, 1)
            number, m = b.until(MSG_CHANNEL_OPEN_SUCCESS, MSG_CHANNEL_OPEN_FAILURE)
            answers.append((m.get_int(), number == MSG_CHANNEL_OPEN_SUCCESS))
        b.finish(channel, 3)

    b = back(s, target, play)
    b.until(MSG_CHANNEL_DATA)
    b.send(MSG_GLOBAL_REQUEST, "tcpip-forward", True, "127.0.0.1", 8022)
    b.until(MSG_REQUEST_SUCCESS)
    number, kind = opened_back(b)
    assert kind == "forwarded-tcpip"
    b.send(MSG_CHANNEL_OPEN_SUCCESS, number, 20, 1 << 21, 32768)
    while True:
        _, m = b.until(MSG_CHANNEL_REQUEST)
        m.get_int()
        if m.get_text() == "exit-status":
            break
    b.close()
    assert answers == [(8022, True), (8023, False), (22, False), (65536 + 8022, False)]


# ---- silence: the clock is turned ----


def stays(b):
    b.drain()


def silent_after_the_version(b):
    b.versions()
    b.drain()


def silent_in_the_exchange(b):
    b.versions()
    b.raw(b.sealed(b.kexinit()))
    b.drain()


def silent_after_the_exchange(b):
    exchanged(b)
    b.drain()


def silent_in_the_login(b):
    exchanged(b)
    b.until(MSG_SERVICE_REQUEST)
    b.send(MSG_SERVICE_ACCEPT, "ssh-userauth")
    b.drain()


def lives(b):
    """Answers that it lives, and nothing else."""
    while True:
        number, m = b.recv()
        if number == MSG_GLOBAL_REQUEST:
            b.send(MSG_REQUEST_FAILURE)


def opens_never(b):
    entered(b)
    lives(b)


def starts_never(b):
    entered(b)
    b.opened()
    lives(b)


def opens_another(b):
    entered(b)
    b.until(MSG_CHANNEL_OPEN)
    b.send(MSG_CHANNEL_OPEN_SUCCESS, 12345, 7, 1 << 21, 32768)
    lives(b)


SILENCE = [stays, silent_after_the_version, silent_in_the_exchange, silent_after_the_exchange, silent_in_the_login,
           opens_never, opens_another, starts_never]


def all_silent(s, target, plays):
    """As many visits as there are plays, each stuck in one of them."""
    waiting = list(plays)
    target.play = lambda b: waiting.pop()(b)
    many = [s.begin("alice+osv1", "command") for _ in plays]
    wait_for(lambda: not waiting, "all visits")
    return many


def test_who_never_answers_is_left(s, target):
    many = all_silent(s, target, SILENCE)
    s.beside.check()
    assert all(one.poll() is None for one in many)
    s.turn(ENTER)
    for one in many:
        out, err = one.communicate(timeout=30)
        assert (one.returncode, out) == (69, b""), err
        assert b"lodge: unreachable [unreachable]" in err, err


def falls_silent(b):
    channel = running(b)
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.drain()


def falls_silent_in_an_exchange(b):
    channel = running(b)
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.raw(b.sealed(b.kexinit()))
    b.drain()


def falls_silent_in_a_packet(b):
    channel = running(b)
    b.send(MSG_CHANNEL_DATA, channel, b"hello\n")
    b.raw(b.sealed(bytes([MSG_CHANNEL_DATA]) + packed(channel, b"x" * 1000))[:500])
    b.drain()


def test_who_falls_silent_is_left(s, target):
    """After ClientAliveCountMax unanswered questions, ClientAliveInterval apart."""
    many = all_silent(s, target, [falls_silent, falls_silent_in_an_exchange, falls_silent_in_a_packet])
    for one in many:
        assert one.stdout.readline() == b"hello\n"
    for _ in range(8):
        s.turn(16)
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            s.beside.check()
    for one in many:
        out, err = one.communicate(timeout=30)
        assert (one.returncode, out) == (69, b""), err
        assert b"lodge: unreachable [target-gone] the target does not answer any more" in err, err


# ---- and at the end ----


def test_all_of_it_is_good(s, target):
    assert "ended by signal" not in s.log() and "past its limit" not in s.log()
    s.beside.end()
