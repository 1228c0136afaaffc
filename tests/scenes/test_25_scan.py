"""The operator asks a target what it is: its host keys, and how to make sure of them; what it can and the gateway cannot, and
the words that allow it; how one could log in.  What it prints can be typed as it is, and the target is entered.  Targets that
say nothing, or anything at all, cost a line."""

import json
import re
import shlex
import socket
import subprocess
import threading

import pytest
from site_of_lodge import Site, wait_for

from conftest import kept

OLD_CONFIG = """
KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group1-sha1
Ciphers aes128-cbc,3des-cbc
MACs hmac-sha1
HostKeyAlgorithms ssh-rsa
"""
MODERN_MACS_ONLY = "KexAlgorithms curve25519-sha256\nCiphers aes128-ctr\nMACs umac-128@openssh.com\n"


class Server:
    """A server on a port of its own under the site's folder; `words` say how it is started, and what it logs."""

    def __init__(self, site, name, words, log=None):
        self.name, self.words = name, words
        self.dir = site.dir / name
        self.port = None
        self.log = log or self.dir / "log"
        self.process = None

    def start(self, port):
        self.port = port
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(w).replace("PORT", str(port)) for w in self.words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

        def answers():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except ConnectionError:
                return False
            return True

        wait_for(answers, f"{self.name} on port {port}")

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
        self.process = None


def port_free():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def key_make(path, kind, *more):
    if not path.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", kind, *more, "-N", "", "-C", "", "-f", path], check=True)
    return path


def fingerprint(path):
    return subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, text=True, check=True).stdout.split()[1]


def line_of(path):
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


@pytest.fixture(scope="module")
def site(request):
    yield from kept(request, Site("--no-code", "--set", "DialTimeout=2s"))


@pytest.fixture(scope="module")
def servers(site):
    """openssh(name, keys, more): an sshd that trusts Lodge's CA, started."""
    all_of_them = []

    def openssh(name, keys, more=""):
        directory = site.dir / name
        directory.mkdir(exist_ok=True)
        config = (site.dir / "osv1/sshd_config").read_text()
        config = re.sub(r"^(Port|HostKey) .*\n", "", config, flags=re.M)
        config = more + config + "".join(f"HostKey {k}\n" for k in keys)
        (directory / "sshd_config").write_text(config)
        one = Server(site, name, ["/usr/sbin/sshd", "-D", "-e", "-p", "PORT", "-f", directory / "sshd_config"])
        all_of_them.append(one)
        return one

    def other(name, words):
        (site.dir / name).mkdir()
        one = Server(site, name, words)
        all_of_them.append(one)
        return one

    openssh.other = other
    yield openssh
    for one in all_of_them:
        one.stop()


class Talker:
    """Says something to whoever connects, and then holds on until they leave, or closes."""

    def __init__(self, says, closes=False):
        self.says, self.closes = says, closes
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                one, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one):
        try:
            with one:
                one.sendall(self.says)
                while not self.closes and one.recv(4096):
                    pass
        except OSError:
            pass


def add(site, name, port, *words):
    done = site.lodge("target", "add", name, "--address", f"127.0.0.1:{port}", "--account", site.account, *words)
    assert done.returncode == 0, done.stderr


def change(site, name, *words, status=0):
    done = site.lodge("target", "change", name, *words)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def scan(site, name, status=0):
    done = site.lodge("target", "scan", name)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def scan_json(site, name):
    done = site.lodge("target", "scan", name, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def type_what_it_says(site, said, begin):
    """The line of the report that begins so, typed as it stands."""
    words = [shlex.split(line) for line in said.splitlines() if line.strip().startswith(begin)]
    assert len(words) == 1, said
    done = site.lodge(*words[0])
    assert done.returncode == 0, done.stderr


def enters(site, target, account=None):
    login = f"alice+{target}" + (f"+{account}" if account else "")
    done = site.ssh(login, "echo", "in")
    assert (done.returncode, done.stdout) == (0, b"in\n"), done.stderr.decode()


def granted(site, target):
    said = site.verb("alice", "request", target, "--for", "2h", "--why", "x", "--ticket", "T")
    site.approve(int(re.search(r"request (\d+)", said).group(1)))


def test_what_is_in_order(site):
    """OpenSSH as it comes: its key is pinned, there is something modern of everything, the certificate can work."""
    said = scan(site, "osv1")
    assert "Says it is    SSH-2.0-OpenSSH_" in said
    assert f"Host key      {fingerprint(site.dir / 'osv1/host_ed25519')} ssh-ed25519, pinned" in said
    assert "In common     key exchange: curve25519-sha256 and " in said
    assert "it offers: publickey\n" in said
    assert "can work: certificate, key; it has: certificate\n" in said
    assert "target change" not in said, "there is nothing to do"
    found = scan_json(site, "osv1")
    assert [k["state"] for k in found["host_keys"]] == ["pinned"]
    assert found["host_keys"][0]["key"] == line_of(site.dir / "osv1/host_ed25519")
    assert found["legacy"] == found["missing"] == [] and found["login_could_work"] is True
    assert "aes256-gcm@openssh.com" in found["common"]["ciphers"]


def test_who_may_and_who_is_told(site):
    assert "is    SSH-2.0" in site.verb("maria", "target", "scan", "osv1")
    site.verb("alice", "target", "scan", "osv1", status=77)
    site.verb("otto", "target", "scan", "osv1", status=77)
    assert "there is no target nowhere" in scan(site, "nowhere", status=77)
    assert "takes no options" in site.verb("maria", "target", "scan", "osv1", "--about", "x", status=64)
    event = site.events(action="target.scanned")[-1]
    assert event["user"]["name"] == "maria" and event["lodge"]["target"] == "osv1"
    assert event["event"]["outcome"] == "success"
    assert fingerprint(site.dir / "osv1/host_ed25519") in event["lodge"]["why"] and "pinned" in event["lodge"]["why"]


def test_a_new_target_is_pinned_and_entered(site, servers):
    """Three keys, none pinned: nobody enters; each line that the scan prints can be typed; then one enters."""
    keys = [key_make(site.dir / f"new_{kind}", kind, *more) for kind, more in
            (("ed25519", ()), ("ecdsa", ("-b", "384")), ("rsa", ("-b", "2048")))]
    server = servers("new", keys)
    server.start(port_free())
    add(site, "new1", server.port)
    done = site.ssh("alice+new1", "true")
    assert done.returncode == 76 and b"[host-key] no host key of new1 is pinned: target scan new1" in done.stderr
    said = scan(site, "new1")
    for key in keys:
        assert f"Host key      {fingerprint(key)} {line_of(key).split()[0]}, not pinned" in said
        assert f"target change new1 --host-key '{line_of(key)}'" in said
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in said
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ecdsa_key.pub" in said
    type_what_it_says(site, said, "target change new1 --host-key 'ssh-ed25519 ")
    granted(site, "new1")
    enters(site, "new1")
    assert [k["state"] for k in scan_json(site, "new1")["host_keys"]] == ["pinned", "new", "new"]


def test_two_keys_during_a_change(site, servers):
    """The new key is pinned beside the old; the target changes over; the old is taken away, and the last one is not."""
    old, new = key_make(site.dir / "change_old", "ed25519"), key_make(site.dir / "change_new", "ed25519")
    server = servers("change", [old])
    server.start(port_free())
    add(site, "change1", server.port, "--host-key", line_of(old))
    granted(site, "change1")
    enters(site, "change1")
    change(site, "change1", "--host-key", line_of(new))
    enters(site, "change1")
    server.stop()
    server = servers("change", [new])
    server.start(int(site.lodge("target", "show", "change1").stdout.split("127.0.0.1:")[1].split()[0]))
    enters(site, "change1")
    change(site, "change1", "--remove-host-key", fingerprint(old))
    assert "has no host key" in change(site, "change1", "--remove-host-key", fingerprint(old), status=77)
    assert "only host key" in change(site, "change1", "--remove-host-key", fingerprint(new), status=77)
    enters(site, "change1")
    shown = json.loads(site.lodge("target", "show", "change1", "--json").stdout)
    assert [k.split()[0] for k in shown["host_keys"]] == [fingerprint(new)]


def test_a_key_that_is_not_pinned_is_told_until_somebody_says(site, servers):
    """Somebody, or something new, answers at the address: nobody enters, everybody who decides is told, it is kept."""
    good, other = key_make(site.dir / "swap_good", "ed25519"), key_make(site.dir / "swap_other", "ed25519")
    server = servers("swap", [other])
    server.start(port_free())
    add(site, "swap1", server.port, "--host-key", line_of(good))
    granted(site, "swap1")
    done = site.ssh("alice+swap1", "true")
    assert done.returncode == 76 and b"[host-key]" in done.stderr
    event = site.events(action="target.host-key")[-1]
    assert event["lodge"]["target"] == "swap1" and event["lodge"]["fingerprint"] == fingerprint(other)
    assert event["lodge"]["what"] == line_of(other) and fingerprint(good) in event["lodge"]["why"]
    assert event["lodge"]["recording"] and event["user"]["name"] == "alice"
    words = "showed a host key that is not pinned"
    for said in (
        site.verb("maria", "requests"),
        site.verb("maria", "show", str(event["lodge"]["request"])),
        site.lodge("target", "show", "swap1").stdout,
    ):
        assert words in said and fingerprint(other) in said
    assert re.search(r"swap1 +host key!", site.verb("maria", "target", "list"))
    assert re.search(r"Host key differs +swap1", site.lodge("status").stdout)
    said = scan(site, "swap1")
    assert f"{fingerprint(other)} ssh-ed25519, NOT the pinned one of its kind" in said
    assert f"target change swap1 --remove-host-key {fingerprint(good)}" in said
    type_what_it_says(site, said, "target change swap1 --host-key ")
    assert words not in site.verb("maria", "requests") and "differs" not in site.lodge("status").stdout
    enters(site, "swap1")
    type_what_it_says(site, said, "target change swap1 --remove-host-key ")


def test_old_algorithms_only(site, servers):
    """It says exactly what is missing, and no more than the words that allow it; typed, it is entered."""
    server = servers("old", [key_make(site.dir / "old_rsa", "rsa", "-b", "2048")], OLD_CONFIG)
    server.start(port_free())
    add(site, "old1", server.port)
    said = scan(site, "old1")
    needed = "diffie-hellman-group14-sha1,ssh-rsa,aes128-cbc,hmac-sha1"
    assert "In common     key exchange: nothing modern; old: diffie-hellman-group14-sha1\n" in said
    assert "In common     kind of host key: nothing modern; old: ssh-rsa\n" in said
    assert f"target change old1 --legacy {needed} --legacy-until DATE --legacy-why" in said
    assert scan_json(site, "old1")["legacy"] == needed.split(",")
    type_what_it_says(site, said, "target change old1 --host-key 'ssh-rsa ")
    granted(site, "old1")
    done = site.ssh("alice+old1", "true")
    assert done.returncode == 69 and b"[no-common]" in done.stderr
    change(site, "old1", "--legacy", needed, "--legacy-until", "2027-09-01", "--legacy-why", "replaced in summer")
    assert "which is allowed until 2027-09-01" in scan(site, "old1")
    enters(site, "old1")
    server.stop()
    server = servers("old", [site.dir / "old_rsa"])
    server.start(server.port or int(site.lodge("target", "show", "old1").stdout.split("127.0.0.1:")[1].split()[0]))
    assert "It needs nothing old any more: target change old1 --legacy none" in scan(site, "old1")


def test_nothing_in_common_at_all(site, servers):
    server = servers("umac", [site.dir / "osv1/host_ed25519"], MODERN_MACS_ONLY)
    server.start(port_free())
    add(site, "umac1", server.port)
    said = scan(site, "umac1")
    assert "In common     MAC: nothing that this gateway has\n" in said
    assert "It cannot be entered: there is no MAC that both have." in said
    assert "Host key      ssh-ed25519: not seen, " in said
    assert scan_json(site, "umac1")["missing"] == ["macs"]


def test_dropbear(site, servers):
    server = servers.other("dropbear", ["/usr/sbin/dropbear", "-F", "-E", "-p", "127.0.0.1:PORT", "-r", site.dir / "dropbear/key"])
    subprocess.run(["dropbearkey", "-t", "ed25519", "-f", site.dir / "dropbear/key"], check=True, capture_output=True)
    server.start(port_free())
    add(site, "drop1", server.port)
    found = scan_json(site, "drop1")
    assert found["version"].startswith("SSH-2.0-dropbear")
    # It offers RSA too, and dies of it: the key that it has is seen all the same, and what else could be asked.
    assert ("ssh-ed25519", "new") in [(k["kind"], k["state"]) for k in found["host_keys"]]
    assert found["legacy"] == found["missing"] == []
    assert "password" in found["methods"] and "password" in found["logins"]


def packet(payload):
    padding = 8 - (5 + len(payload)) % 8 + 8
    return (1 + len(payload) + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)


def kexinit(*lists):
    body = b"".join(len(one).to_bytes(4, "big") + one for one in lists)
    return packet(b"\x14" + bytes(16) + body + bytes(5))


VERSION = b"SSH-2.0-x\r\n"
HOSTILE = {
    "says nothing": (b"", "it said nothing, and no more in time"),
    "mail server": (b"220 mail.example ESMTP\r\n", 'it said "220 mail.example ESMTP"'),
    "plays with the terminal": (b"\x1b]0;owned\x07\x1b[2J\xc2\x9b31m\r\n", r"\x1b]0;owned\x07\x1b[2J\xc2\x9b31m"),
    "old ssh": (b"SSH-1.5-Cisco-1.25\n", "it speaks another protocol than SSH 2: SSH-1.5-Cisco-1.25"),
    "no end": (b"x" * 70000, "which is no ssh server's word"),
    "lines without end": (b"welcome\r\n" * 8000, "which is no ssh server's word"),
    "no packet": (VERSION + b"\xff" * 64, "behind its version comes no ssh packet"),
    "no kexinit": (VERSION + packet(b"\x1e" + bytes(32)), "it speaks before it says its algorithms"),
    "short kexinit": (VERSION + packet(b"\x14" + bytes(20)), "(KEXINIT) does not read"),
    "long list": (VERSION + kexinit(b"a" * 5000, *[b"x"] * 9), "(KEXINIT) does not read"),
    "bad name": (VERSION + kexinit(b"a\x1b[2J,b", *[b"x"] * 9), "(KEXINIT) does not read"),
    "goes away politely": (VERSION + packet(b"\x01\0\0\0\x0c\0\0\0\x06be\x1bgon\0\0\0\0"), r'it disconnected: "be\x1bgon"'),
    "half a version": (b"SSH-2.0-half", 'it said "SSH-2.0-half"'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_broken_targets(site, name):
    says, words = HOSTILE[name]
    add(site, f"hostile{list(HOSTILE).index(name)}", Talker(says, closes=name == "half a version").port)
    done = site.lodge("target", "scan", f"hostile{list(HOSTILE).index(name)}")
    assert done.returncode == 69 and "[unreachable]" in done.stderr and words in done.stderr, done.stderr
    assert "\x1b" not in done.stdout + done.stderr and "\u009b" not in done.stdout + done.stderr


def test_it_says_much_and_does_nothing(site):
    """Good lists, names that are none of ours, and no key exchange: the lists are told, the keys are not seen."""
    lists = [b"curve25519-sha256,x@y", b"ssh-ed25519,ssh-rsa", b"aes128-ctr", b"aes128-ctr", b"hmac-sha2-256", b"hmac-sha2-256",
             b"none", b"none", b"", b""]
    add(site, "much1", Talker(b"hello\r\n" + VERSION + packet(b"\x02\0\0\0\0") + kexinit(*lists)).port)
    said = scan(site, "much1")
    assert "Host key      ssh-ed25519: not seen, no answer in time" in said
    assert "In common     key exchange: curve25519-sha256\n" in said
    assert "Login         it told no methods" in said


def test_nobody_at_the_address(site):
    add(site, "closed1", port_free())
    assert re.search(r"\[unreachable\] closed1: 127.0.0.1 port \d+: Connection refused", scan(site, "closed1", status=69))
    event = site.events(action="target.scanned")[-1]
    assert event["event"]["outcome"] == "failure" and event["event"]["reason"] == "unreachable"


def test_few_at_once_and_nothing_stays(site):
    add(site, "silent1", Talker(b"").port)
    command = [site.dir / "lib/lodge", "-s", site.control, "target", "scan", "silent1"]
    many = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    said = [one.communicate(timeout=60)[1] for one in many]
    assert sum("[limit] 4 targets are being scanned" in line for line in said) == 2, said
    assert sum("it said nothing" in line for line in said) == 4, said
    wait_for(lambda: not [p for p in site.children() if scans(p)], "the end of all scans")


def scans(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().split(b"\0")[1:2] == [b"--scan"]
    except OSError:
        return False


def test_policy_dies_meanwhile(site):
    """Whoever asked is let go, the scan ends, and the next one works."""
    command = [site.dir / "lib/lodge", "-s", site.control, "target", "scan", "silent1"]
    one = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: [p for p in site.children() if scans(p)], "a scan")
    site.kill("policy")
    one.communicate(timeout=30)
    assert one.returncode != 0
    wait_for(lambda: not [p for p in site.children() if scans(p)], "the end of the scan")
    wait_for(lambda: site.lodge("target", "scan", "osv1").returncode == 0, "a scan by the new policy")
