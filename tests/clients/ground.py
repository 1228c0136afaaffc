"""The ground on which all clients are tried: one site of Lodge with codes, one grant, and a target that keeps a log of
every byte (tap).  Three ways lead to it: straight (does the case hold without Lodge?), `+`, and -J.

The code is typed once, by stock OpenSSH; everybody else rides on MFAGrace with the same key.
"""

import dataclasses
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import sys
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenes"))
from site_of_lodge import Site, wait_for  # noqa: E402

import truth  # noqa: E402
from slow_road import SlowRoad  # noqa: E402

PAYLOAD = int(os.environ.get("LODGE_CLIENTS_MIB", "64")) << 20


@dataclasses.dataclass(frozen=True)
class Way:
    """How one gets to the target.  host: as ssh_config has it; the rest: for clients that read no ssh_config."""

    name: str
    host: str
    user: str
    address: str
    port: int
    key_of: str  # whose host key the client sees: "osv1", "lodge"

    @property
    def is_direct(self):
        return self.name == "direct"

    @property
    def is_jump(self):
        return self.name == "jump"


@dataclasses.dataclass(frozen=True)
class Far:
    road_to_target: SlowRoad
    road_to_lodge: SlowRoad


class Ground:
    def __init__(self):
        self.page = Page()
        self._agent = None
        self._far = {}
        self.modes = {}  # what stty -a said, for one way to be held against another
        self.site = Site("--set", "MFAGrace=24h", before=self._target_change)
        try:
            self._clients_make()
            self._let_in("osv1", "--forward", f"127.0.0.1:{self.page.port}")
        except BaseException:
            self.end(check=False)
            raise

    # ---- the target ----

    def _target_change(self, site):
        """Before its sshd starts: let alice's own key in too, for the direct way, and keep a log of every byte."""
        self.dir = site.dir / "clients"
        self.osv1 = site.dir / "osv1"
        self.home = self.osv1 / "home"
        self.taps = self.osv1 / "taps"
        user = pwd.getpwnam(site.account)
        self.uid, self.gid = user.pw_uid, user.pw_gid
        self.taps.mkdir()
        os.chown(self.taps, self.uid, self.gid)
        shutil.copy(HERE / "tap", self.osv1 / "tap")
        subprocess.run(["usermod", "-s", self.osv1 / "tap", site.account], check=True, capture_output=True)
        (self.osv1 / "authorized_keys").write_text((self.dir / "alice.pub").read_text())
        config = self.osv1 / "sshd_config"
        text = config.read_text().replace("AuthorizedKeysFile none", f"AuthorizedKeysFile {self.osv1}/authorized_keys")
        text = "".join(line for line in text.splitlines(True) if not line.startswith("Subsystem"))
        text += "StrictModes no\n"  # /tmp, above all this, is everybody's
        text += f"Subsystem sftp {truth.SFTP_SERVER}\n"
        config.write_text(text)
        self._payload_make(self.home / "down.bin")
        os.chown(self.home / "down.bin", self.uid, self.gid)
        self.down = self.home / "down.bin"

    @staticmethod
    def _payload_make(path):
        with open(path, "wb") as f:
            for _ in range(PAYLOAD >> 20):
                f.write(os.urandom(1 << 20))

    # ---- what a person has at home ----

    def _clients_make(self):
        site = self.site
        self.account = site.account
        self.ways = {
            "direct": Way("direct", "direct", site.account, "127.0.0.1", int(site.facts["sshd_port"]), "osv1"),
            "plus": Way("plus", "plus", "alice+osv1", "127.0.0.1", site.port, "lodge"),
            "jump": Way("jump", "osv1", site.account, "osv1", 22, "lodge"),
        }
        self.key = self.dir / "alice"
        self.host_keys = {"osv1": self.osv1 / "host_ed25519.pub", "lodge": site.dir / "etc/host_ed25519.pub"}
        self.up = self.dir / "up.bin"
        self._payload_make(self.up)
        self.known_hosts = self.dir / "known_hosts.clients"
        lines = []
        for name, key in self.host_keys.items():
            lines.append(f"{name} {' '.join(key.read_text().split()[:2])}")
        for way in ("direct", "plus"):
            lines.append(f"[127.0.0.1]:{self.ways[way].port} {' '.join(self.host_key(self.ways[way]).split()[:2])}")
        self.known_hosts.write_text("\n".join(lines) + "\n")
        self.config = self.dir / "ssh_config.clients"
        self.config.write_text(self._config())
        self.env = dict(os.environ, HOME=str(self.dir), SSH_ASKPASS_REQUIRE="never", LC_ALL="C.UTF-8")
        self.env.pop("SSH_AUTH_SOCK", None)
        subprocess.run(["puttygen", self.key, "-O", "private", "-o", self.dir / "alice.ppk"], check=True, env=self.env)
        subprocess.run(
            ["dropbearconvert", "openssh", "dropbear", self.key, self.dir / "alice.dropbear"],
            check=True,
            capture_output=True,
        )

    def _config(self):
        """What `lodge snippet` tells people to write, and one block for the direct way."""
        direct, plus = self.ways["direct"], self.ways["plus"]
        return f"""
Host direct direct-*
    HostName 127.0.0.1
    Port {direct.port}
    User {direct.user}
    HostKeyAlias osv1
Host plus plus-*
    HostName 127.0.0.1
    Port {plus.port}
    User alice+osv1
    HostKeyAlias lodge
Host lodge
    HostName 127.0.0.1
    Port {plus.port}
    User alice
    HostKeyAlias lodge
Host osv1 osv1-*
    HostName osv1
    User {self.account}
    HostKeyAlias lodge
    ProxyJump lodge
Host *
    IdentityFile {self.key}
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {self.known_hosts}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
    ServerAliveInterval 15
"""

    def host_key(self, way):
        return self.host_keys[way.key_of].read_text()

    def fingerprint(self, way):
        """SHA256:..., of the host key that this way shows."""
        said = subprocess.run(
            ["ssh-keygen", "-lf", self.host_keys[way.key_of]], capture_output=True, text=True, check=True
        )
        return said.stdout.split()[1]

    def _let_in(self, target, *words):
        """alice asks, with a code the first time; maria says yes."""
        said = self.site.verb("alice", "request", target, "--for", "8h", "--why", "clients", *words)
        self.site.approve(re.search(r"request (\d+)", said).group(1), "--for", "8h")

    def far(self, round_trip_ms):
        """The same target and the same Lodge at the ends of long links; the target is farMS there."""
        if round_trip_ms not in self._far:
            direct, plus = self.ways["direct"], self.ways["plus"]
            one = Far(SlowRoad(direct.port, round_trip_ms), SlowRoad(plus.port, round_trip_ms))
            key = " ".join(self.host_key(direct).split()[:2])
            address = f"127.0.0.1:{one.road_to_target.port}"
            words = ["--address", address, "--account", self.account, "--host-key", key]
            done = self.site.lodge("target", "add", f"far{round_trip_ms}", *words)
            assert done.returncode == 0, done.stderr
            self._let_in(f"far{round_trip_ms}")
            self._far[round_trip_ms] = one
        return self._far[round_trip_ms]

    def agent(self):
        """The socket of an agent that holds her key."""
        if self._agent is None:
            path = self.dir / "agent"
            self._agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
            wait_for(path.exists, "the agent's socket")
            subprocess.run(["ssh-add", "-q", self.key], env=dict(self.env, SSH_AUTH_SOCK=str(path)), check=True)
        return self.dir / "agent"

    # ---- looking ----

    def heard(self):
        """Names of the entries that the target has by now."""
        return {p.stem for p in self.taps.glob("*.json")}

    def shelf(self):
        """The directories of all recordings."""
        return {p for p in self.site.recordings.glob("s/*/*/*/*") if p.is_dir()}

    def end(self, check=True):
        if self._agent is not None:
            self._agent.terminate()
            self._agent.wait(10)
        for one in self._far.values():
            one.road_to_target.end()
            one.road_to_lodge.end()
        self.page.end()
        self.site.end(check=check)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def answers(port):
    """Does somebody listen on this port?"""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Page:
    """The web page that a forward leads to, as a management platform has one beside its ssh."""

    def __init__(self):
        self.body = os.urandom(1 << 20)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @staticmethod
    def fetch(url, proxy=None):
        """With curl; CalledProcessError when it fails."""
        words = ["curl", "-sS", "--fail", "--max-time", "30", *(["--proxy", proxy] if proxy else []), url]
        return subprocess.run(words, capture_output=True, check=True).stdout

    def _serve(self):
        while True:
            try:
                one, _ = self.socket.accept()
            except OSError:
                return
            with one:
                if one.recv(4096):
                    one.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.body) + self.body)

    def end(self):
        self.socket.close()
