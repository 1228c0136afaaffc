"""Targets of other kinds than the site's own: servers that a scene starts beside it, an account of this machine for those that
want a password, and what the operator types for them."""

import datetime
import os
import random
import re
import secrets
import signal
import socket
import string
import subprocess

import recording
from site_of_lodge import Site, wait_for

from conftest import kept

UNTIL = datetime.date.today() + datetime.timedelta(300)
WHY = ("--legacy-until", str(UNTIL), "--legacy-why", "an old machine")
STRONG = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(20)) + "-9aZ"
PASSWORD = ("PasswordAuthentication yes", "KbdInteractiveAuthentication no", "PubkeyAuthentication no")


def port_free():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def key_make(path, kind="ed25519", *more):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *more, "-N", "", "-C", "", "-f", path], check=True)
    return path


def public(path):
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


def fingerprint(line):
    return subprocess.run(["ssh-keygen", "-lf", "-"], input=line, capture_output=True, text=True, check=True).stdout.split()[1]


class House:
    """A site, its other targets' servers, and an account of this machine for those that want a password."""

    def __init__(self, site):
        self.site = site
        self.servers = {}
        self.home = site.dir / "home"
        self.user = "srxp" + "".join(random.choices(string.ascii_lowercase, k=6))
        self.home.mkdir()
        subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", self.home, "--shell", "/bin/bash",
                        self.user], check=True)
        with open(site.dir / "made-users", "a") as made:  # `site remove` removes it
            made.write(self.user + "\n")
        (self.home / ".ssh").mkdir(mode=0o700)
        (self.home / "bin").mkdir()
        self.own()
        self.password(STRONG)

    def own(self):
        subprocess.run(["chown", "-R", f"{self.user}:", self.home], check=True)

    def password(self, word):
        subprocess.run(["chpasswd"], input=f"{self.user}:{word}\n", text=True, check=True)

    def processes(self, pattern="."):
        """Of the account, which is this site's alone."""
        done = subprocess.run(["pgrep", "-u", self.user, "-f", pattern], capture_output=True, text=True)
        return [int(pid) for pid in done.stdout.split()]

    def kill(self, pattern="."):
        for pid in self.processes(pattern):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.processes(pattern), "the end of what was killed")

    # ---- servers ----

    def begin(self, name, words, port):
        with open(self.site.dir / name / "log", "ab") as log:
            self.servers[name] = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def answers():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except ConnectionError:
                return False
            return True

        wait_for(answers, f"{name} on port {port}")

    def sshd(self, name, *lines, key=("ed25519",), port=None, before=()):
        """An OpenSSH server, run by the command `before`; its port, and its host key's line."""
        at = self.site.dir / name
        at.mkdir(exist_ok=True)
        port = port or port_free()
        host_key = at / f"host_{key[0]}"
        if not host_key.exists():
            key_make(host_key, *key)
        (at / "sshd_config").write_text("\n".join([
            f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {host_key}", "PidFile none", "StrictModes no", "UseDNS no",
            "PrintMotd no", "PrintLastLog no", "LogLevel VERBOSE", f"AllowUsers {self.user}", *lines, ""]))
        self.begin(name, [*before, "/usr/sbin/sshd", "-D", "-e", "-f", at / "sshd_config"], port)
        return port, public(host_key)

    def dropbear(self, name, *words):
        at = self.site.dir / name
        at.mkdir()
        port = port_free()
        made = subprocess.run(["dropbearkey", "-t", "ed25519", "-f", at / "host"], capture_output=True, text=True, check=True)
        line = re.search(r"^ssh-ed25519 \S+", made.stdout, re.M).group(0)
        self.begin(name, ["dropbear", "-F", "-E", "-P", at / "pid", "-r", at / "host", "-p", f"127.0.0.1:{port}", *words], port)
        return port, line

    def stop(self, name):
        one = self.servers.pop(name, None)
        if one is not None:
            one.terminate()
            one.wait(10)

    def end(self):
        for name in list(self.servers):
            self.stop(name)
        self.kill()

    # ---- what the operator types ----

    def lodge(self, *words, stdin=None):
        done = subprocess.run([self.site.dir / "lib/lodge", "-s", self.site.control, *map(str, words)], input=stdin,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def add(self, name, where, login, *words, account=None):
        """A target, and alice's grant for it."""
        port, line = where
        self.lodge("target", "add", name, "--address", f"127.0.0.1:{port}", "--account", account or self.user,
                   "--host-key", line, "--login", login, *words)
        self.grant(name)

    def grant(self, name):
        said = self.site.verb("alice", "request", name, "--for", "20h", "--why", "23")
        self.site.approve(re.search(r"request (\d+)", said).group(1), "--for", "20h")

    def secret(self, name, word, *words):
        self.lodge("secret", "set", f"{name}+{self.user}", *words, stdin=word)

    # ---- what came of it ----

    def visit(self, name, *words, **how):
        return self.site.ssh(f"alice+{name}", *(words or ("id -un",)), **how)

    def enters(self, name):
        done = self.visit(name)
        assert (done.returncode, done.stdout) == (0, self.user.encode() + b"\n"), (done, self.site.log()[-2000:])

    def refused(self, name, reason, *texts, status=69):
        done = self.visit(name)
        said = done.stderr.decode()
        assert done.returncode == status and f"[{reason}]" in said and done.stdout == b"", (done, self.site.log()[-2000:])
        for text in texts:
            assert text in said, said

    def recorded(self, name):
        """The newest recording of a visit there, sealed."""

        def look():
            rows = [r for r in self.site.json("otto", "recordings") if r["target"] == name]
            rows.sort(key=lambda r: r["number"])
            return rows[-1] if rows and rows[-1]["state"] == "whole" else None

        return recording.open(self.site, wait_for(look, f"a recording of {name}"))


def lent(request):
    """For a fixture of a file's own."""
    site = kept(request, Site("--no-code"))
    house = House(next(site))
    yield house
    house.end()
    next(site, None)
