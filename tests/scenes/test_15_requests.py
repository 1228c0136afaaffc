"""What a client may ask for in a channel is answered as a direct connection answers it: subsystems, terminal modes, break,
signals, the end of a reader, unknown requests, many channels, keys made anew by volume and by time on both legs."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import paramiko
import pexpect
import pytest
from site_of_lodge import Site, wait_for

from conftest import kept


def target_change(site):
    """A target with a subsystem of its own, that tells of its key exchanges, and lets alice in directly too."""
    config = site.dir / "osv1/sshd_config"
    keys = site.dir / "osv1/authorized_keys"
    keys.write_text((site.dir / "clients/alice.pub").read_text())
    text = config.read_text().replace("AuthorizedKeysFile none", f"AuthorizedKeysFile {keys}")
    text = text.replace("LogLevel VERBOSE", "LogLevel DEBUG1")
    config.write_text(text + "StrictModes no\nSubsystem netconf /bin/cat\n")


@pytest.fixture(scope="module")
def site(request):
    yield from kept(
        request,
        Site("--no-code", "--set", "RekeyBytes=1M", "--set", "RekeyInterval=2s", "--set", "AcceptEnv=LANG LC_* SITE_?", before=target_change),
    )


@pytest.fixture(scope="module")
def s(site):
    site.granted("8h")
    return site


@pytest.fixture
def odd(s):
    """A client that can ask for anything: a paramiko transport, logged in as alice+osv1."""
    many = []

    def connect(login="alice+osv1"):
        one = paramiko.Transport(socket.create_connection(("127.0.0.1", s.port)))
        one.connect(username=login, pkey=paramiko.Ed25519Key(filename=str(s.dir / "clients/alice")))
        many.append(one)
        return one

    yield connect
    for one in many:
        one.close()


def ask(channel, name, *fields, reply=False):
    """A channel request of any name (RFC 4254 5.4)."""
    m = paramiko.Message()
    m.add_byte(bytes([98]))
    m.add_int(channel.remote_chanid)
    m.add_string(name)
    m.add_boolean(reply)
    for one in fields:
        m.add_int(one) if isinstance(one, int) else m.add_string(one)
    if reply:
        channel._event_pending()
    channel.transport._send_user_message(m)
    if reply:
        channel._wait_for_event()


def test_a_subsystem_of_the_targets(s):
    done = s.ssh("alice+osv1", "netconf", options=("-T", "-s"), stdin=b"<hello/>]]>]]>")
    assert (done.returncode, done.stdout) == (0, b"<hello/>]]>]]>")


def test_a_subsystem_that_the_target_has_not(s):
    done = s.ssh("alice+osv1", "nothing", options=("-T", "-s"))
    assert done.returncode == 69 and b"lodge: unreachable [target-gone]" in done.stderr


def test_a_subsystem_without_a_target(s):
    done = s.ssh("alice", "sftp", options=("-T", "-s"))
    assert done.returncode == 77 and b"alice+osv1" in done.stderr


def test_a_reader_that_stops_ends_what_it_read_from(s):
    """As a direct sshd does: the client says eow@openssh.com, and yes(1) dies of SIGPIPE."""
    one = s.begin("alice+osv1", "yes")
    assert one.stdout.readline() == b"y\n"
    one.stdout.close()
    wait_for(lambda: one.poll() is not None, "the end of ssh")
    wait_for(lambda: not s.target_processes("^yes"), "the end of yes")


def test_terminal_modes_are_a_direct_logins(s):
    def modes(*words):
        one = pexpect.spawn("/bin/sh", ["-c", "stty erase ^H intr ^G -ixon ixany; exec " + " ".join(map(str, words))],
                            timeout=30, encoding="utf-8", dimensions=(31, 101))
        s.terminals.append(one)
        one.expect(pexpect.EOF)
        shown = one.before[one.before.index("speed"):].replace("Connection to 127.0.0.1 closed.", "")
        return re.sub(r"[\s;]+", " ", shown)

    config = ["ssh", "-tt", "-F", s.dir / "ssh_config"]
    direct = modes(*config, "-p", s.facts["sshd_port"], "-i", s.dir / "clients/alice", "-o", "StrictHostKeyChecking=no",
                   "-o", "LogLevel=QUIET", f"{s.account}@127.0.0.1", "stty -a")
    ours = modes(*config, "alice+osv1@127.0.0.1", "stty -a")
    assert "erase = ^H" in direct and "intr = ^G" in direct
    assert ours == direct


def test_break_reaches_the_target_and_the_record(s):
    one = s.shell()
    one.send("\r~B")
    one.expect_exact(f"{s.account}@osv1:")
    one.sendline("exit")
    one.expect(pexpect.EOF)
    wait_for(lambda: not s.sessions(), "the end of her session")
    row = s.sealed(1)[-1]
    bundle = s.dir / "break.tar"
    with open(bundle, "wb") as f:
        assert subprocess.run(s.words("otto", "export", str(row["number"])), stdout=f, env=s.askpass()).returncode == 0
    texts = subprocess.run(
        f"cd {s.dir} && mkdir -p bundle && tar xf break.tar -C bundle && find bundle -name '*.age' | while read f; do "
        f"age -d -i etc/reading.age $f | zstd -dcq 2>/dev/null; done", shell=True, capture_output=True).stdout
    assert b"BREAK" in texts


def test_signals_reach_what_runs(odd):
    channel = odd().open_session()
    channel.exec_command("trap 'echo got USR1; exit 9' USR1; echo ready; while :; do sleep 0.05; done")
    assert channel.recv(100) == b"ready\n"
    ask(channel, "signal", "USR1")
    assert channel.recv(100) == b"got USR1\n"
    assert channel.recv_exit_status() == 9


def test_unknown_requests_are_answered_and_hurt_nothing(odd):
    transport = odd()
    assert transport.global_request("nonsense@example.org", wait=True) is None
    channel = transport.open_session()
    with pytest.raises(paramiko.SSHException):
        ask(channel, "nonsense@example.org", "x" * 1000, reply=True)
    channel = transport.open_session()
    channel.exec_command("echo alive")
    assert channel.recv(100) == b"alive\n"


def test_unknown_channels_are_refused_with_our_words(odd, caplog):
    transport = odd()
    for kind in ("nonsense@example.org", "x11", "auth-agent@openssh.com", "direct-streamlocal@openssh.com"):
        caplog.clear()
        with pytest.raises(paramiko.ChannelException):
            transport.open_channel(kind, src_addr=("127.0.0.1", 1))
        assert "lodge: denied [not-supported]" in caplog.text


def test_sixty_four_channels(odd, caplog):
    transport = odd()
    many = [transport.open_session() for _ in range(64)]
    with pytest.raises(paramiko.ChannelException):
        transport.open_session()
    assert "lodge: denied [limit]" in caplog.text
    for n, one in enumerate(many):
        one.exec_command(f"read x; echo $x {n}")
    for n, one in enumerate(many):
        one.sendall(b"number\n")
    for n, one in enumerate(many):
        assert one.makefile().read() == b"number %d\n" % n
        assert one.recv_exit_status() == 0
        one.close()
    again = transport.open_session()
    again.exec_command("echo again")
    assert again.makefile().read() == b"again\n"


def test_the_environment_that_is_passed(s):
    done = s.ssh("alice+osv1", "env", options=("-T", "-v", "-o", "SetEnv=SITE_A=1 SITE_AB=2 LC_X=3 OTHER=4"))
    assert b"LC_X=3" in done.stdout
    told = str(s.events(action="channel.refused"))
    assert "SITE_AB" in told and "OTHER" in told and "SITE_A'" not in told


def key_exchanges(text):
    return text.count("SSH2_MSG_NEWKEYS received") or text.count("SSH2_MSG_KEXINIT received")


def test_new_keys_by_volume_on_both_legs(s):
    log = s.dir / "osv1/sshd.log"
    before = log.read_text(errors="replace").count("SSH2_MSG_KEXINIT received")
    data = os.urandom(5_000_000)
    done = s.ssh("alice+osv1", "tee copy", stdin=data, options=("-T", "-v"))
    assert done.stdout == data
    assert (s.dir / "osv1/home/copy").read_bytes() == data
    assert key_exchanges(done.stderr.decode(errors="replace")) > 2, "the engineer's leg"
    after = log.read_text(errors="replace").count("SSH2_MSG_KEXINIT received")
    assert after - before > 2, "the target's leg"


def test_new_keys_by_time(s):
    log = s.dir / "osv1/sshd.log"
    before = log.read_text(errors="replace").count("SSH2_MSG_KEXINIT received")
    done = s.ssh("alice+osv1", "for i in 1 2 3 4 5; do echo $i; sleep 1; done", options=("-T", "-v"))
    assert done.stdout == b"1\n2\n3\n4\n5\n"
    assert key_exchanges(done.stderr.decode(errors="replace")) > 1, "the engineer's leg"
    assert log.read_text(errors="replace").count("SSH2_MSG_KEXINIT received") - before > 1, "the target's leg"


def test_no_more_memory_when_a_side_stops_reading(s):
    """SIGSTOP on either side: the other is held up, memory stays flat, and all of it comes when they go on."""

    def rss():
        (session,) = s.sessions()
        status = open(f"/proc/{session}/status").read()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    size = 60_000_000
    # the engineer's client stops, then the target's cat
    down = s.begin("alice+osv1", f"head -c {size} /dev/zero")
    wait_for(lambda: s.target_processes("^head"), "the command")
    os.kill(down.pid, signal.SIGSTOP)
    time.sleep(1)
    first = rss()
    time.sleep(1)
    assert rss() < first + 4096
    os.kill(down.pid, signal.SIGCONT)
    out, err = down.communicate(timeout=120)
    assert len(out) == size, err
    up = s.begin("alice+osv1", "cat >got; wc -c <got")
    wait_for(lambda: s.target_processes("^cat"), "the command")
    (cat,) = s.target_processes("^cat")
    os.kill(cat, signal.SIGSTOP)
    feeder = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=up.stdin)
    up.stdin.close()
    time.sleep(2)
    first = rss()
    time.sleep(1)
    assert rss() < first + 4096
    os.kill(cat, signal.SIGCONT)
    assert up.stdout.read() == b"%d\n" % size
    assert up.wait(60) == 0 and feeder.wait(10) == 0


HUGE = """
import paramiko, socket, sys
t = paramiko.Transport(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
t.connect(username="alice+osv1", pkey=paramiko.Ed25519Key(filename=sys.argv[2]))
c = t.open_session(window_size=2**32 - 1)
c.exec_command("exec head -c 300000000 /dev/zero")
print("begun", flush=True)
sys.stdin.readline()
"""


def test_a_window_of_four_gigabytes_holds_no_memory(s):
    one = subprocess.Popen([sys.executable, "-c", HUGE, str(s.port), str(s.dir / "clients/alice")],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    s.terminals.append(one)
    assert one.stdout.readline() == b"begun\n"
    os.kill(one.pid, signal.SIGSTOP)
    time.sleep(2)
    (session,) = s.sessions()
    status = open(f"/proc/{session}/status").read()
    first = int(re.search(r"VmRSS:\s+(\d+)", status).group(1))
    time.sleep(1)
    status = open(f"/proc/{session}/status").read()
    assert int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) < first + 4096
    assert s.ssh("alice+osv1", "echo alive").stdout == b"alive\n"
    one.kill()
    wait_for(lambda: not s.sessions(), "the end of its session", 30)


def test_all_of_it_is_good(s):
    wait_for(lambda: not [r for r in s.json("otto", "recordings") if r["state"] not in ("whole",)], "everything sealed")
    done = s.ssh("otto", "verify", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
