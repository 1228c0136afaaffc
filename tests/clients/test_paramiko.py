"""paramiko: commands, streams, a shell, sftp, many channels.  Through Lodge by -J: over a direct-tcpip channel."""

import dataclasses
import hashlib
import threading

import paramiko
import pytest

pytestmark = pytest.mark.client("paramiko")
feature = pytest.mark.feature


class Pinned(paramiko.MissingHostKeyPolicy):
    """Takes the one key that must be shown, and no other."""

    def __init__(self, line):
        self.key = line.split()[1]

    def missing_host_key(self, client, hostname, key):
        assert key.get_base64() == self.key, f"{hostname} shows another key"


def connect(case, way, sock=None):
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(Pinned(case.ground.host_key(way)))
    client.connect(
        way.address,
        way.port,
        way.user,
        key_filename=str(case.ground.key),
        sock=sock,
        allow_agent=False,
        look_for_keys=False,
        timeout=60,
        banner_timeout=60,
        auth_timeout=60,
    )
    return client


@pytest.fixture
def client(case):
    if not case.way.is_jump:
        one = connect(case, case.way)
        yield one
        one.close()
        return
    outer = connect(case, dataclasses.replace(case.ground.ways["plus"], user="alice"))
    one = connect(case, case.way, outer.get_transport().open_channel("direct-tcpip", ("osv1", 22), ("127.0.0.1", 0)))
    close = one.close
    one.close = lambda: (close(), outer.close())
    yield one
    one.close()


@feature("exec")
@pytest.mark.parametrize("status", [0, 3, 77])
def test_exec(case, client, status):
    stdin, stdout, stderr = client.exec_command(f"printf 'a\\0b\\377'; cat >&2; exit {status}", timeout=60)
    stdin.write(b"in")
    stdin.channel.shutdown_write()
    assert (stdout.read(), stderr.read(), stdout.channel.recv_exit_status()) == (b"a\0b\xff", b"in", status)
    client.close()
    case.compare()


@feature("streams")
def test_streams(case, client):
    stdin, stdout, _ = client.exec_command(f"cat > {case.name}/up.bin; cat down.bin", timeout=300)
    stdin.write(case.ground.up.read_bytes())
    stdin.channel.shutdown_write()
    assert hashlib.sha256(stdout.read()).hexdigest() == hashlib.sha256(case.ground.down.read_bytes()).hexdigest()
    client.close()
    case.uploaded(case.ground.up, "up.bin", ledger=False)
    case.compare()


@feature("shell")
def test_shell(case, client):
    shell = client.invoke_shell("vt100", 99, 33)
    shell.settimeout(20)
    shell.send("stty size; exit 6\r")
    said = b""
    while piece := shell.recv(4096):
        said += piece
    assert b"33 99" in said
    assert shell.recv_exit_status() == 6
    client.close()
    case.compare()


@feature("put")
def test_put(case, client):
    sftp = client.open_sftp()
    sftp.put(str(case.ground.up), f"{case.name}/up.bin")
    client.close()
    case.uploaded(case.ground.up, "up.bin")
    case.compare()


@feature("get")
def test_get(case, client):
    sftp = client.open_sftp()
    sftp.get("down.bin", str(case.local / "down.bin"))
    client.close()
    case.downloaded(case.ground.down, case.local / "down.bin")
    case.compare()


@feature("manage")
def test_manage(case, client):
    sftp = client.open_sftp()
    sftp.chdir(case.name)
    sftp.mkdir("d")
    with sftp.open("d/a", "w") as f:
        f.write("small\n")
    sftp.rename("d/a", "d/b")
    sftp.posix_rename("d/b", "d/c")
    sftp.symlink("c", "d/link")
    sftp.chmod("d/c", 0o600)
    assert sftp.stat("d/c").st_mode & 0o777 == 0o600
    assert sftp.readlink("d/link") == "c"
    assert sorted(sftp.listdir("d")) == ["c", "link"]
    with sftp.open("d/c", "r+") as f:  # read and written through one handle
        assert f.read() == b"small\n"
        f.write("more\n")
    sftp.remove("d/link")
    with pytest.raises(FileNotFoundError):
        sftp.stat("nowhere")
    client.close()
    assert (case.remote / "d/c").read_bytes() == b"small\nmore\n"
    case.compare()


@feature("many channels")
def test_thirty_at_once(case, client):
    said = {}

    def one(n):
        stdin, stdout, _ = client.exec_command(f"cat; exit {n}", timeout=120)
        stdin.write(b"%d\n" % n * 1000)
        stdin.channel.shutdown_write()
        said[n] = (stdout.read(), stdout.channel.recv_exit_status())

    threads = [threading.Thread(target=one, args=(n,)) for n in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    client.close()
    assert said == {n: (b"%d\n" % n * 1000, n) for n in range(30)}
    case.compare()
