"""People with accounts on the gateway's machine, and a directory of staff behind a real sssd, all apart from this
machine: Lodge and sssd each see an /etc of their own (house_apart)."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pexpect
from site_of_lodge import TOP, wait_for

APART = pathlib.Path(__file__).with_name("house_apart")
PERIOD = 30  # seconds that a code counts for
WINDOW = 2  # codes before and after that the stacks take
SSSD_CONF = """[sssd]
services = nss, pam
domains = staff
[domain/staff]
id_provider = proxy
proxy_lib_name = files
auth_provider = proxy
access_provider = proxy
chpass_provider = proxy
proxy_pam_target = staff-directory
"""
DIRECTORY_STACK = """auth required pam_unix.so
account required pam_unix.so
password required pam_unix.so
session required pam_permit.so
"""


class Apart:
    """Before gateway starts: private copies of what modules read and write."""

    def __init__(self, site):
        self.site = site
        self.house = self._make("house")  # as Lodge sees it
        self.staff = self._make("staff")  # as the directory sees it: its people are not in Lodge's passwd
        self.sssd = None
        self.steps = {}
        sss = self.house / "sss"
        subprocess.run(["cp", "-a", "/var/lib/sss", sss], check=True)
        os.symlink(sss, self.staff / "sss")
        for name in ("run", "log"):
            (self.staff / name).mkdir()
        (self.staff / "etc/sssd/sssd.conf").write_text(SSSD_CONF)
        (self.staff / "etc/sssd/sssd.conf").chmod(0o600)
        (self.staff / "etc/pam.d/staff-directory").write_text(DIRECTORY_STACK)
        self._nsswitch(self.staff, "files")
        self._nsswitch(self.house, "files sss")
        (self.house / "faillock").mkdir()
        (self.house / "etc/security/faillock.conf").write_text(f"dir = {self.house}/faillock\ndeny = 3\nunlock_time = 600\n")
        for stack in (TOP / "etc/pam.d").iterdir():
            text = stack.read_text().replace("/etc/lodge/users.oath", f"{site.dir}/pam/users.oath")
            (site.dir / "pam" / stack.name).write_text(text)

    def sees_sessions(self):
        """Each stack has one more line: a real module that writes down what PAM sessions it saw."""
        saw = self.site.dir / "apart/saw"
        saw.write_text(f'#!/bin/sh\necho "$PAM_TYPE $PAM_USER $PAM_SERVICE $PAM_RHOST $PAM_TTY" >>{self.site.dir}/apart/seen\n')
        saw.chmod(0o755)
        for stack in (self.site.dir / "pam").glob("lodge*"):
            with open(stack, "a") as f:
                f.write(f"session required pam_exec.so quiet {saw}\n")

    def seen(self):
        path = self.site.dir / "apart/seen"
        return path.read_text() if path.exists() else ""

    def events(self):
        done = self.site.lodge("events", "--last", "200", "--json")
        assert done.returncode == 0, done.stderr
        text = done.stdout
        return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines() if line]

    def _make(self, name):
        one = self.site.dir / "apart" / name
        one.mkdir(parents=True)
        subprocess.run(["cp", "-a", "/etc", one / "etc"], check=True)
        return one

    @staticmethod
    def _nsswitch(where, how):
        path = where / "etc/nsswitch.conf"
        lines = [line for line in path.read_text().splitlines() if line.split(":")[0] not in ("passwd", "group", "shadow")]
        path.write_text("\n".join([*lines, *(f"{what}: {how}" for what in ("passwd", "group", "shadow"))]) + "\n")

    @staticmethod
    def wrap(where):
        return ["unshare", "--mount", "--propagation", "private", APART, where]

    def run(self, *words, where=None):
        """Runs a program that sees what Lodge sees; what it prints."""
        done = subprocess.run([*self.wrap(where or self.house), *words], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def account(self, name, password, where=None):
        crypted = subprocess.run(["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True).stdout
        self.run("useradd", "-M", "-s", "/usr/sbin/nologin", "-p", crypted.strip(), name, where=where)

    def failures(self, name, *words):
        """How many pam_faillock counts (the tool looks elsewhere than where faillock.conf says)."""
        return self.run("faillock", "--dir", self.house / "faillock", "--user", name, *words).count(" V\n")

    # ---- the directory ----

    def sssd_start(self):
        log = open(self.staff / "sssd.log", "ab")
        self.sssd = subprocess.Popen(
            [*self.wrap(self.staff), "sssd", "-i", "--logger=stderr"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )
        socket = self.house / "sss/pipes/private/pam"
        wait_for(socket.exists, "sssd")

    def sssd_end(self):
        if self.sssd is None:
            return
        os.killpg(self.sssd.pid, signal.SIGTERM)
        try:
            self.sssd.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.sssd.pid, signal.SIGKILL)
            self.sssd.wait()
        self.sssd = None

    # ---- people ----

    def person(self, name, role, *, password=None, where=None, coded=True):
        """Somebody whom Lodge knows by a key, with an account and a secret for codes."""
        key = self.site.dir / "clients" / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key], check=True)
        words = ["--vendor", "unify"] if role == "engineer" else []
        done = self.site.lodge(
            "person", "add", name, "--name", name.title(), "--role", role, "--key", pathlib.Path(f"{key}.pub").read_text().strip(), *words
        )
        assert done.returncode == 0, done.stderr
        if password:
            self.account(name, password, where)
        if coded:
            secret = os.urandom(20).hex()
            (self.site.dir / "clients" / f"{name}.hex").write_text(secret)
            with open(self.site.dir / "pam/users.oath", "a") as f:
                f.write(f"HOTP/T30/6 {name} - {secret}\n")
        return name

    def code(self, name):
        """A code that was not given yet, nor was any after it: the window holds five."""
        now = int(time.time()) // PERIOD
        step = max(self.steps.get(name, 0) + 1, now - WINDOW + (time.time() % PERIOD > PERIOD - 8))
        if step > now + WINDOW:
            time.sleep(PERIOD - time.time() % PERIOD)
        self.steps[name] = step
        at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(step * PERIOD))
        secret = (self.site.dir / "clients" / f"{name}.hex").read_text()
        return subprocess.run(["oathtool", "--totp", "--now", at, secret], capture_output=True, text=True, check=True).stdout.strip()

    def login(self, name, *answers, words=("help",), options=(), key=None):
        """ssh on a terminal; answers: (prompt, what is typed).  The terminal after the last of them."""
        one = self.site.terminal(
            name, *words, options=("-i", str(self.site.dir / "clients" / (key or name)), "-o", "NumberOfPasswordPrompts=1",
                                   "-o", "PreferredAuthentications=publickey,keyboard-interactive", *options),
        )
        for prompt, text in answers:
            one.expect_exact(prompt)
            one.sendline(text)
        return one

    def let_in(self, name, *answers, **how):
        one = self.login(name, *answers, **how)
        one.expect(pexpect.EOF)
        one.close()
        assert one.exitstatus == 0, one.before
        return one.before

    def refused(self, name, reason, *answers, **how):
        """What was shown, but for the person's name: the one line with the reason, and nothing that says which factor failed."""
        return self.all_refused([(name, reason, *answers)], **how)[0]

    def all_refused(self, rows, **how):
        """The same for many at once, for a no takes its time."""
        many = [(self.login(name, *answers, **how), name, reason) for name, reason, *answers in rows]
        shown = []
        for one, name, reason in many:
            one.expect_exact(f"lodge: denied [{reason}]")
            one.expect(pexpect.EOF)
            one.close()
            assert one.exitstatus == 255, one.before
            shown.append(one.before.replace(name, "NAME"))
        return shown
