"""Goal: what session/ssh_more.c reaches in libssh's private structures is what it says, seen by other people's programs.

The door's leg is server.c, entered by OpenSSH and by a paramiko that misbehaves; the target's leg is client.c, which
enters OpenSSH's sshd, a paramiko whose host key changes, and server.c (for mlkem768: OpenSSH 9.2 has none).
"""
import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import paramiko
import pytest
from paramiko.common import cMSG_CHANNEL_REQUEST

UNIT = os.environ.get("LODGE_UNIT", "/tmp/b-l/unit")
SK_DUMMY = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so"
SOON = 10


class Lines:
    """A program whose lines are read as they come."""

    def __init__(self, words):
        self.lines = []
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    def find(self, pattern):
        return [m for m in (re.search(pattern, line) for line in list(self.lines)) if m]

    def wait(self, pattern, count=1, seconds=SOON):
        until = time.monotonic() + seconds
        while len(self.find(pattern)) < count:
            assert time.monotonic() < until, f"no {count} of {pattern!r} in:\n" + "\n".join(self.lines)
            time.sleep(0.01)
        return self.find(pattern)[count - 1]

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(SOON)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.reader.join(SOON)
        return self.process.returncode


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    where = tmp_path_factory.mktemp("keys")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", where / "plain"], check=True)
    for name, more in (("touch", []), ("no-touch", ["-O", "no-touch-required"])):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519-sk", "-w", SK_DUMMY, "-N", "", "-f", where / name, *more],
                       check=True)
    return where


class Server(Lines):
    def __init__(self, keys, tmp_path, *words):
        super().__init__([UNIT + "/session_more_server", *words])
        self.port = int(self.wait(r"^port (\d+)").group(1))
        self.key = self.wait(r"^host ([0-9a-f]+)").group(1)
        self.known = tmp_path / "known"
        self.known.write_text(f"[127.0.0.1]:{self.port} ssh-ed25519 " + paramiko.Ed25519Key(
            data=bytes.fromhex(self.key)).get_base64() + "\n")
        self.identity = keys / "plain"

    def words(self, *more, command=None):
        return ["ssh", "-F", "none", *more, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
                "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={self.known}", "-o", "LogLevel=ERROR",
                "-o", "PreferredAuthentications=publickey", "-o", f"SecurityKeyProvider={SK_DUMMY}",
                *(() if "-i" in more else ("-i", str(self.identity))), "-p", str(self.port), "alice@127.0.0.1",
                *(() if command is None else (command,))]

    def ssh(self, *more, command=None, data=b""):
        return subprocess.run(self.words(*more, command=command), input=data, capture_output=True, timeout=30)

    def paramiko(self):
        t = paramiko.Transport(("127.0.0.1", self.port))
        t.start_client(timeout=SOON)
        return t


@pytest.fixture
def server(keys, tmp_path):
    s = Server(keys, tmp_path)
    yield s
    assert s.end() == 0, "\n".join(s.lines)  # ASan, UBSan and leaks speak here
    assert not s.find("ERROR: |runtime error"), "\n".join(s.lines)


# ---- the door: exchanges ----

@pytest.mark.parametrize("kex", ["curve25519-sha256", "sntrup761x25519-sha512@openssh.com", "ecdh-sha2-nistp256"])
def test_openssh_checks_a_signature_that_the_hook_made(server, kex):
    assert server.ssh("-o", f"KexAlgorithms={kex}", command="exit 3").returncode == 3
    assert server.wait("^login alice").string.split()[2] == f"kex={kex}"
    assert len(server.find("^sign ")) == 1


def test_mlkem_between_our_two_legs(server, keys):
    c = Lines([UNIT + "/session_more_client", str(server.port), "alice", str(keys / "plain"), "exit 4", "kex",
               "mlkem768x25519-sha256", "pin", server.key])
    c.wait("^exit 4")
    assert c.end() == 0, "\n".join(c.lines)
    assert c.find("^connected kex=mlkem768x25519-sha256 cipher=") and c.find("^keys 1")
    server.wait("^login alice kex=mlkem768x25519-sha256")


def test_rekeys_lose_nothing_and_each_is_signed(server):
    data = os.urandom(20_000_000)
    r = server.ssh("-o", "RekeyLimit=4M", command="echo", data=data)
    assert (r.returncode, r.stdout == data) == (7, True)
    hashes = [m.group(1) for m in server.find("^sign ([0-9a-f]+)")]
    assert len(hashes) >= 5 and len(set(hashes)) == len(hashes)


def test_no_signature_no_exchange(server):
    """Another key in known_hosts: OpenSSH refuses ours, so it did look."""
    server.known.write_text(f"[127.0.0.1]:{server.port} ssh-ed25519 " + paramiko.Ed25519Key(
        data=bytes.fromhex(server.key[:-64] + "11" * 32)).get_base64() + "\n")
    assert b"verification failed" in server.ssh(command="exit 0").stderr


# ---- the door: tries ----

def test_openssh_proves_its_key_host_bound_over_our_identifier(server, keys):
    server.ssh(command="exit 0")
    proof = server.wait("^proof ").string
    blob = paramiko.Ed25519Key(filename=str(keys / "plain")).asbytes().hex()
    assert "good=1 flags=-1 method=publickey-hostbound-v00@openssh.com" in proof and proof.endswith("id=1")
    assert f"key={blob} " in proof
    assert server.find(f"^try state=0 algorithm=ssh-ed25519 key={blob}$")
    assert not server.find("^unreadable")


class WrongKey(paramiko.Ed25519Key):
    def __init__(self, keys, mode):
        super().__init__(filename=str(keys / "plain"))
        self.mode = mode

    def get_name(self):
        return "foo@bar" if self.mode == "type" else super().get_name()

    def asbytes(self):
        if self.mode == "type":
            return struct.pack(">I", 7) + b"foo@bar" + b"\0" * 9
        return super().asbytes()

    def sign_ssh_data(self, data, algorithm=None):
        m = paramiko.Message()
        m.add_string("ssh-ed25519")
        m.add_string(b"\x5a" * (5 if self.mode == "malformed" else 64))
        return m if self.mode != "empty" else paramiko.Message()


@pytest.mark.parametrize("mode,asked", [("signature", 1), ("malformed", 0), ("type", 0), ("empty", 0)])
def test_what_libssh_drops_is_answered_at_once_and_the_next_key_is_let_in(server, keys, mode, asked):
    t = server.paramiko()
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(paramiko.AuthenticationException):
            t.auth_publickey("alice", WrongKey(keys, mode))
        assert time.monotonic() - began < 2
    t.auth_publickey("alice", paramiko.Ed25519Key(filename=str(keys / "plain")))
    assert t.is_authenticated()
    t.close()
    server.wait("^login alice")
    assert len(server.find("^unreadable alice$")) == 3
    assert len(server.find("^proof good=0")) == 3 * asked  # a wrong one is asked about, an unreadable one not
    assert len(server.find("^login alice")) == 1


def test_a_key_type_that_is_not_accepted(server, keys):
    t = server.paramiko()
    with pytest.raises(paramiko.AuthenticationException):
        t.auth_publickey("alice", paramiko.ECDSAKey.generate())
    t.auth_publickey("alice", paramiko.Ed25519Key(filename=str(keys / "plain")))
    t.close()
    assert len(server.find("^unreadable alice$")) == 1 and not server.find("^proof good=0")


def test_malformed_answers_are_a_failed_try(server, keys):
    class Liar(list):
        def __len__(self):
            return 500

    t = server.paramiko()
    began = time.monotonic()
    with pytest.raises(paramiko.AuthenticationException):
        t.auth_interactive("alice", lambda title, text, prompts: Liar())
    assert time.monotonic() - began < 2
    t.auth_publickey("alice", paramiko.Ed25519Key(filename=str(keys / "plain")))
    t.close()
    assert len(server.find("^unreadable $")) == 1


def test_a_fido_key_says_whether_it_was_touched(keys, tmp_path):
    s = Server(keys, tmp_path, "--touch")
    assert s.ssh("-i", str(keys / "touch"), command="exit 3").returncode == 3
    s.wait("^proof good=1 flags=1 ")
    began = time.monotonic()
    r = s.ssh("-i", str(keys / "no-touch"), command="exit 3")
    assert r.returncode == 255 and b"Permission denied (publickey" in r.stderr and time.monotonic() - began < 5
    s.wait("^proof good=1 flags=0 ")  # the signature itself is sound
    s.wait("^unreadable alice$")
    assert s.end() == 0


# ---- the door: channels and requests ----

class Terminal:
    """ssh in a terminal of ours, 91 columns and 33 rows of 10 x 10 pixels, with a character or two of its own."""

    def __init__(self, words):
        self.master, slave = pty.openpty()
        modes = termios.tcgetattr(slave)
        modes[6][termios.VINTR] = b"\x18"
        modes[6][termios.VERASE] = b"\x08"
        modes[0] &= ~termios.IXON
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        self.size(33, 91)
        self.process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env=dict(os.environ, TERM="vt220"),
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, columns * 10, rows * 10))

    def end(self):
        self.process.kill()
        self.process.wait(SOON)
        os.close(self.master)


def modes_read(text):
    data, modes = bytes.fromhex(text), {}
    while len(data) >= 5 and data[0] != 0:
        modes[data[0]] = struct.unpack(">I", data[1:5])[0]
        data = data[5:]
    assert data == b"\0"
    return modes


def test_terminal_modes_pixels_resize_and_break(server):
    t = Terminal(server.words("-tt"))
    pty_line = server.wait("^pty (.*) ([0-9a-f]+)$")
    assert pty_line.group(1) == "vt220 91x33 910x330"
    modes = modes_read(pty_line.group(2))
    assert (modes[1], modes[3], modes[38]) == (0x18, 0x08, 0)  # VINTR, VERASE, IXON: RFC 4254 8
    t.size(40, 100)
    server.wait("^resize 100x40 1000x400$")
    os.write(t.master, b"\n~B")
    server.wait("^unknown break ours=1 payload=000003e8$")  # OpenSSH asks for 1000 ms
    t.end()


def test_end_of_write_is_seen(keys, tmp_path):
    server = Server(keys, tmp_path, "--openssh")
    p = subprocess.Popen(server.words(command="source 200000000"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    p.stdout.read(1)
    p.stdout.close()
    server.wait("^unknown eow@openssh.com ours=1 payload=$")
    p.kill()
    p.wait(SOON)
    assert server.end() == 0


def test_agent_request_is_seen_and_refused(server):
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(server.known.parent / "agent")], stdout=subprocess.DEVNULL)
    try:
        while not (server.known.parent / "agent").exists():
            time.sleep(0.01)
        r = server.ssh("-A", "-o", f"IdentityAgent={server.known.parent}/agent", command="exit 5")
        assert r.returncode == 5
    finally:
        agent.terminate()
        agent.wait(SOON)
    server.wait("^unknown auth-agent-req@openssh.com ours=1 payload=$")


def test_a_refused_channel_shows_our_reason(server, keys):
    r = server.ssh("-o", "LogLevel=INFO", "-W", "127.0.0.1:1")
    assert b"connect failed: Lodge says: not through this door" in r.stderr + r.stdout
    t = server.paramiko()
    t.auth_publickey("alice", paramiko.Ed25519Key(filename=str(keys / "plain")))
    with pytest.raises(paramiko.ChannelException) as e:
        t.open_channel("direct-streamlocal@openssh.com", timeout=SOON)
    assert e.value.code == 2
    t.close()
    server.wait("^refused type=0 name=direct-streamlocal@openssh.com$")


def request_answered(channel, name, payload):
    m = paramiko.Message()
    m.add_byte(cMSG_CHANNEL_REQUEST)
    m.add_int(channel.remote_chanid)
    m.add_string(name)
    m.add_boolean(True)
    m.add_bytes(payload)
    channel._event_pending()
    channel.transport._send_user_message(m)
    assert channel.event.wait(2), f"{name} was not answered"
    return not channel.closed  # paramiko closes a channel of which a request was refused


@pytest.mark.parametrize("name,payload,good", [
    ("break", struct.pack(">I", 250), True),
    ("unheard-of@example", b"", False),
    ("pty-req", b"\0\0\0\5xter", False),  # too short: libssh would say nothing
    ("exec\0x", struct.pack(">I", 6) + b"exit 1", False),  # not "exec", as a C string would have it
    ("later@lodge", b"", False),
])
def test_each_request_is_answered(server, keys, name, payload, good):
    t = server.paramiko()
    t.auth_publickey("alice", paramiko.Ed25519Key(filename=str(keys / "plain")))
    channel = t.open_session(timeout=SOON)
    assert request_answered(channel, name, payload) == good
    t.close()
    assert bool(server.find("^message 0$")) == (name == "later@lodge")
    assert not server.find("^end")


# ---- the target's leg ----

class Target(paramiko.ServerInterface):
    """paramiko as a target: it asks what `asks` names, then rekeys; with `then`, under another host key."""

    def __init__(self, then=None, asks=()):
        self.key, self.then = paramiko.Ed25519Key(file_obj=open_key()), then
        self.asks, self.answers, self.asked = asks, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def get_allowed_auths(self, username):
        return "none"

    def check_auth_none(self, username):
        return paramiko.AUTH_SUCCESSFUL

    def check_global_request(self, kind, msg):
        self.asked.append(kind)
        return False

    def check_channel_request(self, kind, number):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=self._run, args=(channel,), daemon=True).start()
        return True

    def _run(self, channel):
        time.sleep(0.5)  # paramiko waits for ever when it should answer in an exchange of its own
        try:
            self.answers = [request_answered(channel, name, b"") for name in self.asks]
            if channel.closed:  # paramiko says so before it has: keys made anew now would hold that up for ever
                return
            if self.then is not None:
                self.transport.add_server_key(self.then)
            self.transport.renegotiate_keys()
            channel.sendall(b"after the rekey")
            channel.send_exit_status(6)
            channel.close()
        except Exception:  # the client has left: that is what some tests want
            pass

    def _serve(self):
        connection, _ = self.listener.accept()
        self.transport = paramiko.Transport(connection)
        self.transport.add_server_key(self.key)
        self.transport.start_server(server=self)

    def end(self):
        self.transport.close()
        self.listener.close()


def open_key():
    import io
    import tempfile
    with tempfile.TemporaryDirectory() as where:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", where + "/k"], check=True)
        with open(where + "/k") as f:
            return io.StringIO(f.read())


def client(port, user, key, command, *options):
    c = Lines([UNIT + "/session_more_client", str(port), user, str(key), command, *map(str, options)])
    return c


def test_the_same_host_key_at_a_rekey_goes_on():
    target = Target()
    c = client(target.port, "svc", "none", "go", "pin", target.key.asbytes().hex())
    c.wait("^text ")
    assert c.end() == 0, "\n".join(c.lines)
    assert c.find("^keys 2") and c.find("^exit 6") and c.find("^text " + b"after the rekey".hex())
    assert target.asked == ["keepalive@openssh.com"] * 3
    target.end()


def test_what_a_target_may_not_ask_is_refused_and_seen():
    target = Target(asks=["eow@openssh.com"])
    c = client(target.port, "svc", "none", "go")
    c.wait("^unknown eow@openssh.com ours=1")
    c.wait("^taken 0")
    c.end()
    assert target.answers == [False]
    target.end()
    target = Target(asks=["exec"])  # libssh would make a message of it, which nobody would fetch
    c = client(target.port, "svc", "none", "go")
    c.wait("^unknown exec ours=1")
    c.wait("^taken 0")
    c.end()
    assert target.answers == [False]
    target.end()


def test_another_host_key_at_a_rekey_ends_it():
    target = Target(then=paramiko.Ed25519Key(file_obj=open_key()))
    c = client(target.port, "svc", "none", "go", "pin", target.key.asbytes().hex())
    c.wait("^error ")
    assert c.end() == 1, "\n".join(c.lines)
    assert c.find("^keys 2") and c.find("^taken 0") and c.find("Failed to verify server hostkey signature")
    target.end()


def test_another_host_key_at_first_ends_it(server, keys):
    c = client(server.port, "alice", keys / "plain", "exit 1", "pin", server.key[:-64] + "11" * 32)
    c.wait("^error ")
    assert c.end() == 2 and not server.find("^try")


@pytest.fixture(scope="module")
def sshd(keys, tmp_path_factory):
    where = tmp_path_factory.mktemp("sshd")
    where.chmod(0o755)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", where / "host"], check=True)
    (where / "authorized").write_text((keys / "plain.pub").read_text())
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    (where / "config").write_text(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {where}/host\nPidFile none\n"
                                  f"AuthorizedKeysFile {where}/authorized\nUsePAM no\nStrictModes no\n"
                                  "PermitRootLogin yes\nRekeyLimit 1M\nClientAliveInterval 1\n")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    p = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", where / "config"], stderr=open(where / "log", "w"))
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield port
    p.terminate()
    p.wait(SOON)


USER = os.environ.get("USER") or "root"


def test_modes_and_size_reach_a_real_terminal(sshd, keys):
    modes = struct.pack(">BIBIBIB", 1, 0x18, 38, 0, 39, 1, 0)  # VINTR ^X, IXON off, IXANY on
    c = client(sshd, USER, keys / "plain", "sleep 1; stty -a; stty size", "modes", modes.hex())
    text = bytes.fromhex(c.wait("^text (.*)").group(1)).decode()
    assert c.end() == 0, "\n".join(c.lines)
    assert "intr = ^X" in text and "-ixon" in text and " ixany" in text
    assert "33 91" in text  # the new size overtook the exec that was not answered yet


def test_rekeys_of_a_real_sshd_ask_the_hook_each_time(sshd, keys):
    c = client(sshd, USER, keys / "plain", "head -c 8000000 /dev/zero; exit 9", "wait", 500)
    c.wait("^taken 8000000$", seconds=30)
    assert c.end() == 0, "\n".join(c.lines)
    assert c.find("^exit 9")
    assert int(c.wait(r"^keys (\d+)").group(1)) >= 4
    assert len({m.string for m in c.find("^host_key")}) == 1


def test_the_last_words_of_a_target_that_died(server, keys):
    c = client(server.port, "alice", keys / "plain", "source 1500000", "late", 1)
    server.wait("^end source")
    time.sleep(0.5)
    os.kill(server.process.pid, signal.SIGKILL)
    c.wait("^taken 1500000$")
    c.end()
    server.end = lambda: 0


# ---- etc/libssh ----

def test_etc_libssh_refuses_what_is_not_its_series(tmp_path):
    top = os.path.dirname(os.path.abspath(__file__)) + "/../../.."
    (tmp_path / "etc").mkdir()
    subprocess.run(["cp", top + "/etc/libssh", tmp_path / "etc/libssh"], check=True)
    for text, said in (("project(libssh VERSION 0.11.5 LANGUAGES C CXX)", "gives libssh 0.11.5"),
                       ("nothing", "holds no libssh source")):
        (tmp_path / "given").mkdir(exist_ok=True)
        (tmp_path / "given/CMakeLists.txt").write_text(text + "\n")
        r = subprocess.run([tmp_path / "etc/libssh"], capture_output=True, text=True,
                           env=dict(os.environ, LODGE_LIBSSH_SOURCE=str(tmp_path / "given")))
        assert r.returncode == 69 and r.stderr.count("\n") == 1 and said in r.stderr
    assert subprocess.run([tmp_path / "etc/libssh", "--what"], capture_output=True).returncode == 64
