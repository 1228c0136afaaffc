"""Edges that a reviewer found by trying: terminals under files, clients that leave at the wrong moment, names that are no
text, single bytes, tails, answers of global requests, and a window that ends while another is waited for."""

import contextlib
import re
import socket
import subprocess
import threading

import pytest
from bare_ssh import MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_OPEN, MSG_CHANNEL_REQUEST, client, packed
from site_of_lodge import Site, wait_for

from conftest import kept


class Sink:
    """Takes what comes, as slowly as it is told."""

    def __init__(self, pause=0.0, room=None):
        self.socket = socket.create_server(("127.0.0.1", 0))
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.port = self.socket.getsockname()[1]
        self.got, self.pause = [], pause
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                one, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one):
        got = [b"", False]
        self.got.append(got)
        with contextlib.suppress(OSError), one:
            while data := one.recv(20000):
                got[0] += data
                if self.pause:
                    threading.Event().wait(self.pause)
        got[1] = True


@pytest.fixture(scope="module")
def sink():
    return Sink()


@pytest.fixture(scope="module")
def slow():
    return Sink(pause=0.005, room=8192)


@pytest.fixture(scope="module")
def stuck():
    """A port where connecting takes for ever: its backlog is full."""
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen(0)
    fill = []
    for _ in range(4):
        other = socket.socket()
        other.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            other.connect(one.getsockname())
        fill.append(other)
    yield one.getsockname()[1]
    for each in (one, *fill):
        each.close()


def target_change(site):
    with open(site.dir / "osv1/sshd_config", "a") as f:
        f.write("AllowTcpForwarding yes\nAllowStreamLocalForwarding yes\n")


@pytest.fixture(scope="module")
def site(request):
    yield from kept(request, Site("--no-code", "--set", "DialTimeout=60s", before=target_change))


@pytest.fixture(scope="module")
def s(site, sink, slow, stuck):
    said = site.verb(
        "alice", "request", "osv1", "--for", "8h", "--why", "x", "--with", "reverse,socket",
        "--forward", f"127.0.0.1:{sink.port},127.0.0.1:{slow.port},127.0.0.1:{stuck}",
    )
    site.approve(re.search(r"request (\d+)", said).group(1), "--for", "8h")
    return site


def nobody_died(s, mark):
    assert "fatal" not in s.log()[mark:], s.log()[mark:][-2000:]


def test_no_terminal_under_files(s):
    """A line discipline would hand sftp-server other bytes than those that were ruled: what comes back is no echo."""
    one = s.begin("alice+osv1", "sftp", options=("-tt", "-s"), bufsize=0)
    one.stdin.write(b"\0\0\0\5\1\0\0\0\3")
    size = int.from_bytes(one.stdout.read(4), "big")
    assert one.stdout.read(1) == b"\2" and 5 <= size < 4096
    one.stdin.close()
    one.wait(20)


def test_a_client_leaves_while_a_forward_is_dialled(s, stuck):
    mark = len(s.log())
    bare = client(s)
    bare.send(MSG_CHANNEL_OPEN, "direct-tcpip", 1, 1 << 21, 32768, "127.0.0.1", stuck, "127.0.0.1", 1)
    wait_for(lambda: "stream" in str(s.json("maria", "sessions")) or s.sessions(), "her session")
    threading.Event().wait(0.5)
    bare.close()
    wait_for(lambda: not s.sessions(), "the end of her session")
    nobody_died(s, mark)


def test_a_place_that_is_no_text(s, sink):
    mark = len(s.log())
    bare = client(s)
    channel = bare.open_channel("direct-tcpip", "127.0.0.1", sink.port, b"\xff\xfe", 1)
    bare.send(MSG_CHANNEL_DATA, channel, b"x")
    wait_for(lambda: sink.got and sink.got[-1][0] == b"x", "the byte")
    bare.send(MSG_CHANNEL_EOF, channel)
    bare.send(MSG_CHANNEL_CLOSE, channel)
    bare.close()
    wait_for(lambda: not s.sessions(), "the end of her session")
    nobody_died(s, mark)
    row = s.sealed(1)[-1]
    (forward,) = [f["forward"] for f in s.json("otto", "files", str(row["number"])) if "bytes_in" in f.get("forward", {})]
    assert forward["from"].startswith("\\xff\\xfe:")


def test_one_byte_that_might_become_ssh(s, sink):
    """It is delivered, and costs nothing while nothing follows."""
    before = len(sink.got)
    bare = client(s)
    channel = bare.open_channel("direct-tcpip", "127.0.0.1", sink.port, "127.0.0.1", 1)
    bare.send(MSG_CHANNEL_DATA, channel, b"S")
    wait_for(lambda: len(sink.got) > before and sink.got[-1][0] == b"S", "the byte")
    bare.send(MSG_CHANNEL_DATA, channel, b"SH-2.0-x")
    number, _ = bare.until(MSG_CHANNEL_CLOSE)
    assert number == MSG_CHANNEL_CLOSE and sink.got[-1][0] == b"S"
    bare.close()


def test_the_tail_of_a_forward_is_not_lost(s, slow):
    bare = client(s)
    channel = bare.open_channel("direct-tcpip", "127.0.0.1", slow.port, "127.0.0.1", 1)
    bare.pour(bytes(30000), 100, channel)
    bare.send(MSG_CHANNEL_EOF, channel)
    bare.send(MSG_CHANNEL_CLOSE, channel)
    wait_for(lambda: slow.got and slow.got[-1][1], "the end of it", 60)
    assert len(slow.got[-1][0]) == 3_000_000
    bare.close()


def test_a_channel_closed_before_its_yes_stands_in_nobodys_way(s):
    mark = len(s.log())
    bare = client(s)
    channel = bare.open_channel(number=3)
    bare.raw(
        bare.sealed(bytes([MSG_CHANNEL_REQUEST]) + packed(channel, "exec", True, "true"))
        + bare.sealed(bytes([MSG_CHANNEL_CLOSE]) + packed(channel))
    )
    channel = bare.open_channel(number=4)
    bare.ask(channel, "exec", "echo hello")
    said = bare.said()
    if said == (b"", b"", None):  # that was the first one's closing
        said = bare.said()
    assert said[0] == b"hello\n" and said[2] == 0, said
    bare.close()
    nobody_died(s, mark)


def test_a_path_of_any_length(s):
    mark = len(s.log())
    bare = client(s)
    bare.send(MSG_CHANNEL_OPEN, "direct-streamlocal@openssh.com", 1, 1 << 21, 32768, "/" + "a" * 150_000, "", 0)
    number, _ = bare.until(91, 92)
    assert number == 92
    bare.close()
    nobody_died(s, mark)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def test_answers_of_listening_are_not_mixed_up(s):
    bare = client(s)
    channel = bare.open_channel()
    bare.ask(channel, "exec", "cat")
    one, two = free_port(), free_port()
    for port in (one, two):
        bare.send(80, "tcpip-forward", True, "127.0.0.1", port)
        assert bare.until(81, 82)[0] == 81
        assert listens(port)
    for port in (one, two):  # in a burst
        bare.send(80, "cancel-tcpip-forward", True, "127.0.0.1", port)
    for _ in range(2):
        assert bare.until(81, 82)[0] == 81
    wait_for(lambda: not listens(one) and not listens(two), "the end of listening")
    bare.send(80, "tcpip-forward", True, "127.0.0.1", one)
    assert bare.until(81, 82)[0] == 81 and listens(one)
    bare.close()


def test_one_window_ends_while_another_is_waited_for(s):
    """The connection is not killed under whoever waits."""
    address = f"127.0.0.1:{s.facts['sshd_port']}"
    key = " ".join((s.dir / "osv1/host_ed25519.pub").read_text().split()[:2])
    assert s.lodge("target", "add", "osv2", "--address", address, "--account", s.account, "--host-key", key).returncode == 0
    path = s.dir / "mux"
    options = ("-o", f"ControlPath={path}")
    master = s.begin("alice", options=("-MNT", *options))
    wait_for(path.exists, "the master's socket")

    def begin(target, command):
        words = ["ssh", "-F", str(s.dir / "ssh_config"), "-T", "-o",
                 f"ProxyCommand=ssh -F {s.dir}/ssh_config -o ControlPath={path} -W {target}:22 alice@127.0.0.1",
                 "-o", f"HostKeyAlias=[127.0.0.1]:{s.port}", "-o",
                 f"UserKnownHostsFile={s.dir}/clients/known_hosts", "-o", "IdentityFile=none", "-l", s.account, target, command]
        one = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        s.terminals.append(one)
        return one

    first = begin("osv1", "echo in; exec cat")
    assert first.stdout.readline() == b"in\n", first.communicate()
    second = begin("osv2", "echo in too")
    line = second.stderr.readline()
    assert b"asked of maria" in line, line
    for row in s.json("maria", "requests"):
        if row["state"] == "open":
            s.verb("maria", "revoke", str(row["request"]))
    assert first.wait(20) == 124
    threading.Event().wait(3)  # longer than gateway's own hand
    assert second.poll() is None, second.communicate()
    number = re.search(rb"request (\d+)", line).group(1).decode()
    s.approve(number, "--for", "1h")
    out, err = second.communicate(timeout=30)
    assert out == b"in too\n", err
    master.terminate()
    master.communicate()


def test_all_of_it_is_good(s):
    wait_for(lambda: not [r for r in s.json("otto", "recordings") if r["state"] not in ("whole",)], "everything sealed")
    done = s.ssh("otto", "verify", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
