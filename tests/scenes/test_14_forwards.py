"""Forwards: a TCP connection goes only to a host and port that the grant names, through the dialer, and is a recording of
its own; everything else that could be a way past is refused, and the client goes on."""

import os
import re
import socket
import subprocess
import threading

import pytest
import recording
from site_of_lodge import wait_for

SITE_WORDS = ("--no-code",)


class Listener:
    """A TCP service on loopback: `serve(connection)` in a thread each."""

    def __init__(self, serve):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.count = 0
        self.serve = serve
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                one, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self._run, args=(one,), daemon=True).start()

    def _run(self, one):
        with one:
            self.serve(one)


def echo(one):
    while data := one.recv(65536):
        one.sendall(data)


def ssh_banner(one):
    one.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    while one.recv(4096):
        pass


@pytest.fixture(scope="module")
def echoes():
    one = Listener(echo)
    yield one
    one.socket.close()


@pytest.fixture(scope="module")
def sshlike():
    one = Listener(ssh_banner)
    yield one
    one.socket.close()


@pytest.fixture(scope="module")
def s(site, echoes, sshlike):
    said = site.verb(
        "alice", "request", "osv1", "--for", "8h", "--why", "the CMP's page",
        "--forward", f"127.0.0.1:{echoes.port},127.0.0.1:{sshlike.port},localhost:{echoes.port}",
    )
    number = re.search(r"request (\d+)", said).group(1)
    assert f"127.0.0.1:{echoes.port}" in site.verb("maria", "show", number)
    site.approve(number, "--for", "8h")
    return site


def carry(s, place, data=b"", login="alice+osv1", options=()):
    """ssh -W: standard input and output are the connection."""
    return s.ssh(login, options=("-T", *options, "-W", place), stdin=data)


def test_a_named_place_is_reached_and_recorded(s, echoes):
    data = os.urandom(1_000_000)
    done = carry(s, f"127.0.0.1:{echoes.port}", data)
    assert done.stdout == data, done.stderr
    wait_for(lambda: not s.sessions(), "the end of her session")
    row = s.sealed(1)[-1]
    facts = s.json("otto", "files", str(row["number"]))
    (forward,) = [f["forward"] for f in facts if "bytes_in" in f.get("forward", {})]
    assert (forward["to"], forward["bytes_in"], forward["bytes_out"]) == (
        f"127.0.0.1:{echoes.port}", len(data), len(data))
    kept = recording.open(s, row)
    (channel,) = kept.channels
    assert kept.bytes(channel, "in") == kept.bytes(channel, "out") == data


def test_by_name_and_without_a_target_in_the_login(s, echoes):
    assert carry(s, f"LocalHost:{echoes.port}", b"one").stdout == b"one"
    assert carry(s, f"127.0.0.1:{echoes.port}", b"two", login="alice").stdout == b"two"


def local_forward(s, *options):
    port = socket.create_server(("127.0.0.1", 0)).getsockname()[1]
    one = s.begin("alice+osv1", options=("-NT", "-o", "ExitOnForwardFailure=yes", *[o.replace("PORT", str(port)) for o in options]))

    def listens():
        try:
            return socket.create_connection(("127.0.0.1", port), 1)
        except OSError:
            return None

    wait_for(listens, "ssh's listening port").close()
    return one, port


def test_many_connections_at_once_through_L(s, echoes):
    one, port = local_forward(s, "-L", f"127.0.0.1:PORT:127.0.0.1:{echoes.port}")
    many = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(10)]
    for n, each in enumerate(many):
        each.sendall(b"number %d" % n)
    for n, each in enumerate(many):
        assert each.recv(100) == b"number %d" % n
        each.close()
    one.terminate()
    one.communicate()


def test_half_closing(s):
    """Whoever has said all still hears the answer; and the other way round."""

    def after_all(one):
        got = b""
        while data := one.recv(65536):
            got += data
        one.sendall(b"%d bytes" % len(got))

    def before_all(one):
        one.sendall(b"first")
        one.shutdown(socket.SHUT_WR)
        while one.recv(65536):
            pass

    for serve, data, answer in ((after_all, b"x" * 100_000, b"100000 bytes"), (before_all, b"y" * 100_000, b"first")):
        listener = Listener(serve)
        said = s.verb("alice", "request", "osv1", "--for", "8h", "--why", "x", "--forward", f"127.0.0.1:{listener.port}")
        s.approve(re.search(r"request (\d+)", said).group(1), "--for", "8h")
        assert carry(s, f"127.0.0.1:{listener.port}", data).stdout == answer
        listener.socket.close()


def test_other_places_are_refused_with_the_reason_and_nothing_is_dialled(s):
    other = Listener(echo)
    done = carry(s, f"127.0.0.1:{other.port}", b"x")
    assert done.returncode != 0 and b"[forward]" in done.stderr, done.stderr
    assert b"it names: " in done.stderr and b"administratively prohibited" in done.stderr
    assert other.count == 0
    other.socket.close()
    refused = [e for e in s.events(action="visit.refused") if str(other.port) in str(e)]
    assert refused and refused[-1]["event"]["reason"] == "forward"


def test_ssh_is_not_forwarded(s, sshlike):
    """Whichever side speaks it first; a target is visited by its name, and recorded in clear."""
    done = carry(s, f"127.0.0.1:{sshlike.port}")
    assert b"SSH-2.0" not in done.stdout


def test_ssh_from_the_clients_side_is_not_forwarded(s, echoes):
    done = carry(s, f"127.0.0.1:{echoes.port}", b"SSH-2.0-mine\r\n")
    assert done.stdout == b""


def test_nobody_there(s):
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    said = s.verb("alice", "request", "osv1", "--for", "8h", "--why", "x", "--forward", f"127.0.0.1:{port}")
    s.approve(re.search(r"request (\d+)", said).group(1), "--for", "8h")
    done = carry(s, f"127.0.0.1:{port}", b"x")
    assert done.returncode != 0 and b"[unreachable]" in done.stderr, done.stderr


def test_R_agent_X11_and_unix_sockets_are_refused_and_the_login_goes_on(s):
    key = s.dir / "clients/alice"
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True).stdout
    sock, pid = re.search(r"SSH_AUTH_SOCK=([^;]+)", agent).group(1), re.search(r"SSH_AGENT_PID=(\d+)", agent).group(1)
    try:
        env = dict(s.askpass(), SSH_AUTH_SOCK=sock, DISPLAY=":0")
        subprocess.run(["ssh-add", "-q", key], env=env, check=True)
        done = subprocess.run(
            s.words(
                "alice+osv1", "echo in; env",
                options=("-T", "-A", "-o", f"IdentityAgent={sock}", "-o", "ForwardX11=yes", "-o", "ForwardX11Trusted=yes",
                         "-R", "0:127.0.0.1:22", "-L", f"{s.dir}/sock:/run/x.sock"),
            ),
            capture_output=True, env=env, timeout=60, stdin=subprocess.DEVNULL,
        )
    finally:
        subprocess.run(["kill", pid])
    assert done.returncode == 0 and done.stdout.startswith(b"in\n"), done.stderr
    assert b"SSH_AUTH_SOCK" not in done.stdout and b"DISPLAY" not in done.stdout
    refused = str(s.events(action="channel.refused"))
    for what in ("tcpip-forward", "auth-agent-req@openssh.com"):
        assert what in refused, (what, refused)


def test_the_end_of_the_window_ends_a_forward(s, echoes):
    one = s.begin("alice+osv1", options=("-T", "-W", f"127.0.0.1:{echoes.port}"), bufsize=0)
    one.stdin.write(b"hello")
    assert one.stdout.read(5) == b"hello"
    for row in s.json("maria", "requests"):
        if row["state"] == "open":
            s.verb("maria", "revoke", str(row["request"]))
    out, err = one.communicate(timeout=20)
    done = carry(s, f"127.0.0.1:{echoes.port}", b"x")
    assert done.returncode != 0 and b"lodge: denied [" in done.stderr, (out, err, done)


def test_all_of_it_is_good(s):
    wait_for(lambda: not [r for r in s.json("otto", "recordings") if r["state"] not in ("whole",)], "everything sealed")
    done = s.ssh("otto", "verify", "--all")
    assert done.returncode == 0, done.stdout + done.stderr


def test_contents_only_where_they_are_wanted(make_site, echoes):
    """ForwardContents no: who, where, when and how many; not what."""
    s = make_site("--no-code", "--set", "ForwardContents=no")
    said = s.verb("alice", "request", "osv1", "--for", "2h", "--why", "x", "--forward", f"127.0.0.1:{echoes.port}")
    s.approve(re.search(r"request (\d+)", said).group(1))
    data = b"nobody shall read this " * 1000
    assert carry(s, f"127.0.0.1:{echoes.port}", data).stdout == data
    wait_for(lambda: not s.sessions(), "the end of her session")
    row = s.sealed(1)[-1]
    (forward,) = [f["forward"] for f in s.json("otto", "files", str(row["number"])) if "bytes_in" in f.get("forward", {})]
    assert (forward["bytes_in"], forward["bytes_out"], forward["contents"]) == (len(data), len(data), False)
    kept = recording.open(s, row)
    assert [kept.bytes(c, way) for c in kept.channels for way in ("in", "out")] == [b"", b""]
