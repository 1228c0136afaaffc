"""What nobody gets without asking: an agent, X11, ports on which the target listens, unix sockets on the target.  With the
capability they work and are recorded; without it they are refused, the target's own sshd would refuse them too, and the
login goes on."""

import os
import re
import signal
import socket
import subprocess
import threading

import pytest
from site_of_lodge import Site, wait_for

from conftest import kept


def target_change(site):
    with open(site.dir / "osv1/sshd_config", "a") as f:
        f.write("X11Forwarding yes\nXAuthLocation /bin/true\nAllowTcpForwarding yes\nAllowStreamLocalForwarding yes\n")


@pytest.fixture(scope="module")
def site(request):
    yield from kept(request, Site("--no-code", before=target_change))


@pytest.fixture(scope="module")
def s(site):
    site.granted("8h")
    return site


@pytest.fixture(scope="module")
def more(s):
    """A grant with everything; only after the scenes without it."""
    for row in s.json("maria", "requests"):
        if row["state"] in ("open", "scheduled"):
            s.verb("maria", "revoke", str(row["request"]))
    said = s.verb("alice", "request", "osv1", "--for", "8h", "--why", "x", "--with", "agent,x11,reverse,socket")
    number = re.search(r"request (\d+)", said).group(1)
    shown = s.verb("maria", "show", number)
    assert "agent,x11,reverse,socket" in shown and "nobody gets without asking" in shown
    s.approve(number, "--for", "8h")
    return s


@pytest.fixture(scope="module")
def agent(s):
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True).stdout
    sock, pid = re.search(r"SSH_AUTH_SOCK=([^;]+)", said).group(1), int(re.search(r"SSH_AGENT_PID=(\d+)", said).group(1))
    subprocess.run(["ssh-add", "-q", s.dir / "clients/alice"], env=dict(os.environ, SSH_AUTH_SOCK=sock), check=True)
    yield sock
    os.kill(pid, signal.SIGTERM)


@pytest.fixture
def display():
    """Something that listens where an X server would, and says what it was sent."""
    for number in range(50, 250):
        try:
            listener = socket.create_server(("127.0.0.1", 6000 + number))
            break
        except OSError:
            continue
    got = []

    def serve():
        try:
            one, _ = listener.accept()
        except OSError:
            return
        with one:
            got.append(one.recv(4096))
            one.sendall(b"answer of the server")

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{number}", got
    listener.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def facts(s, kind):
    wait_for(lambda: not s.sessions(), "the end of her session")
    rows = s.sealed(1)
    return [f[kind] for f in s.json("otto", "files", str(rows[-1]["number"])) if kind in f]


def unix_server(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    os.chmod(path, 0o777)
    listener.listen()

    def serve():
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            with one:
                while data := one.recv(65536):
                    one.sendall(data.upper())

    threading.Thread(target=serve, daemon=True).start()
    return listener


# ---- without the capability ----


def test_none_of_them_without_asking(s, agent, display):
    port = free_port()
    env = dict(s.askpass(), SSH_AUTH_SOCK=agent, DISPLAY=display[0])
    done = subprocess.run(
        s.words("alice+osv1", "echo in; env", options=(
            "-T", "-A", "-o", f"IdentityAgent={agent}", "-o", "ForwardX11=yes", "-o", "ForwardX11Trusted=yes",
            "-R", f"{port}:127.0.0.1:1")),
        capture_output=True, env=env, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and done.stdout.startswith(b"in\n"), done.stderr
    assert b"SSH_AUTH_SOCK" not in done.stdout and b"DISPLAY" not in done.stdout
    assert b"remote port forwarding failed" in done.stderr
    told = str(s.events(action="channel.refused")) + str(s.events(action="visit.refused"))
    for what in ("auth-agent-req@openssh.com", "x11-req", "reverse "):
        assert what in told, (what, told)


def test_a_unix_socket_without_asking(s):
    listener = unix_server(s.dir / "osv1/refused.sock")
    here = s.dir / "local.sock"
    one = s.begin("alice+osv1", options=("-NT", "-L", f"{here}:{s.dir}/osv1/refused.sock"))
    wait_for(here.exists, "ssh's socket")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(here))
        assert client.recv(10) == b""
    one.terminate()
    assert b"lodge: denied [capability]" in one.communicate()[1]
    listener.close()


# ---- with it ----


def test_an_agent(more, agent):
    s = more
    env = dict(s.askpass(), SSH_AUTH_SOCK=agent)
    done = subprocess.run(
        s.words("alice+osv1", "ssh-add -l", options=("-T", "-A", "-o", f"IdentityAgent={agent}")),
        capture_output=True, env=env, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and b"ED25519" in done.stdout, (done.stdout, done.stderr)
    (one,) = [f for f in facts(s, "forward") if "bytes_in" in f]
    assert one["to"] == "engineer:agent" and one["bytes_in"] > 0 and one["bytes_out"] > 0


def test_x11(more, display):
    s = more
    place, got = display
    script = "import os, socket; d = os.environ['DISPLAY']; n = int(d.split(':')[1].split('.')[0]); " \
        "c = socket.create_connection(('127.0.0.1', 6000 + n)); " \
        "c.sendall(b'l\\0\\x0b\\0\\0\\0\\x12\\0\\x10\\0\\0\\0MIT-MAGIC-COOKIE-1\\0\\0' + bytes(16)); print(c.recv(100))"
    done = subprocess.run(
        s.words("alice+osv1", f'python3 -c "{script}"', options=(
            "-T", "-o", "ForwardX11=yes", "-o", "ForwardX11Trusted=yes")),
        capture_output=True, env=dict(s.askpass(), DISPLAY=place), timeout=60, stdin=subprocess.DEVNULL)
    assert b"DISPLAY" not in done.stderr, done.stderr
    one = [f for f in facts(s, "forward") if "bytes_in" in f]
    assert one and one[0]["to"] == "engineer:x11" and one[0]["bytes_out"] > 0, (done, one)


def test_a_port_on_which_the_target_listens(more):
    s = more
    there, here = free_port(), socket.create_server(("127.0.0.1", 0))

    def serve():
        one, _ = here.accept()
        with one:
            one.sendall(one.recv(100).upper())

    threading.Thread(target=serve, daemon=True).start()
    one = s.begin("alice+osv1", options=("-NT", "-o", "ExitOnForwardFailure=yes", "-R",
                                         f"127.0.0.1:{there}:127.0.0.1:{here.getsockname()[1]}"))

    def connects():
        try:
            return socket.create_connection(("127.0.0.1", there), 1)
        except OSError:
            assert one.poll() is None, one.communicate()
            return None

    with wait_for(connects, "the target's port") as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"
    one.terminate()
    one.communicate()
    here.close()
    with pytest.raises(OSError):
        wait_for(lambda: not s.sessions(), "the end of her session")
        socket.create_connection(("127.0.0.1", there), 1)
    done = [f for f in facts(s, "forward") if "bytes_in" in f]
    assert {f["to"] for f in done} >= {f"engineer:{there}", f"127.0.0.1:{there}"}


def test_a_unix_socket_on_the_target(more):
    s = more
    listener = unix_server(s.dir / "osv1/there.sock")
    here = s.dir / "here.sock"
    one = s.begin("alice+osv1", options=("-NT", "-L", f"{here}:{s.dir}/osv1/there.sock"))
    wait_for(here.exists, "ssh's socket")
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(here))
            client.sendall(b"quiet")
            assert client.recv(100) == b"QUIET"
    one.terminate()
    one.communicate()
    listener.close()
    done = [f for f in facts(s, "forward") if "bytes_in" in f]
    assert len(done) == 3 and {(f["to"], f["bytes_in"]) for f in done} == {(f"{s.dir}/osv1/there.sock", 5)}


def test_all_of_it_is_good(s):
    wait_for(lambda: not [r for r in s.json("otto", "recordings") if r["state"] not in ("whole",)], "everything sealed")
    done = s.ssh("otto", "verify", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
