"""A throw-away site of Lodge (etc/demo.d/site), run and looked at by scenes.

Real parts: lodge-gateway and all that it starts, OpenSSH's client and server, PAM with pam_oath.  Only the clock is
ours: turn() moves it for Lodge's processes alone.

Scene files run side by side (lanes.py), so each has a site of its own, and what it needs beside that is its own, too: free
ports, a directory, Unix users made under /run/lodge-site.lock.  A scene asks with wait_for and never measures time; one that
cannot bear company says ALONE = True.  Addresses of 127.0.0.0/8 are different sources (ssh -o BindAddress=127.0.0.2).  A
target's sshd lives by the machine's clock: turn(..., wall=False), or let turning the wall clock on be the last.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import pexpect

TOP = pathlib.Path(__file__).resolve().parents[2]
SITE = TOP / "etc/demo.d/site"
BUILD = pathlib.Path(os.environ.get("LODGE_BUILD", TOP / "build/test"))
DAEMONS = ("book", "recorder", "reader", "policy", "auth", "dialer")
PATIENCE = 20  # seconds that anything may take on a slow machine


def wait_for(question, what, seconds=PATIENCE, pause=0.05):
    """Asks until the answer is true; gives the answer."""
    until = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < until, f"{what}: not within {seconds} s"
        time.sleep(pause)


class Site:
    def __init__(self, *words, people=True, env=None, before=None, wrap=()):
        """words: for `site make`.  before(site): called before gateway starts.  wrap: gateway's command line before it."""
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="lodge-scene.", dir="/tmp"))
        self.dir.chmod(0o755)
        self.gateway = self.sshd = None
        self.terminals = []
        try:
            self._site("make", self.dir, "--build", BUILD, *words)
            self.facts = dict(
                line.split("=", 1) for line in (self.dir / "site.env").read_text().splitlines() if "=" in line
            )
            self.port = int(self.facts["port"])
            self.account = self.facts["account"]
            self.recordings = pathlib.Path(self.facts["recordings"].strip("'"))
            self.control = self.facts["control"].strip("'")
            self.clock = self.dir / "clock"
            self._boot = self._wall = 0
            self._clock_write()
            if before is not None:
                before(self)
            self.env = dict(os.environ, LODGE_TEST_CLOCK=str(self.clock), **(env or {}))
            more = (env or {}).get("ASAN_OPTIONS", "")
            self.env["ASAN_OPTIONS"] = f"log_path={self.dir}/reports/asan:exitcode=99:{more}"
            self.env["LSAN_OPTIONS"] = "print_suppressions=0"
            self.env["UBSAN_OPTIONS"] = f"log_path={self.dir}/reports/ubsan:print_stacktrace=1"
            self.sshd = subprocess.Popen([SITE, "sshd", self.dir])
            self.start(wrap)
            if people:
                self._site("people", self.dir)
        except BaseException:
            self.end(check=False)
            raise

    def _site(self, *words):
        done = subprocess.run([SITE, *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, f"site {words[0]}: {done.stderr}"
        return done.stdout

    # ---- the house ----

    def start(self, wrap=()):
        self.log_file = open(self.dir / "lodge.log", "ab")
        command = [*wrap, self.dir / "lib/lodge-gateway", "-f", self.dir / "lodge.conf"]
        self.gateway = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file, env=self.env
        )
        self._site("ready", self.dir, PATIENCE)

    def log(self):
        return (self.dir / "lodge.log").read_text(errors="replace")

    def children(self, pid=None):
        """{pid: name} of gateway's children (or another's)."""
        found = {}
        for stat in (p / "stat" for p in pathlib.Path("/proc").glob("[0-9]*")):
            try:
                text = stat.read_text()
                words = (stat.parent / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            state, parent = text.rsplit(")", 1)[1].split()[:2]
            if int(parent) == (pid or self.gateway.pid) and state not in "ZX":
                name = os.path.basename(words[0].decode())
                if words[1:2] == [b"--parent"] and not self._is_parent(int(stat.parent.name)):
                    name = "lodge-session"
                elif words[1:2] == [b"--parent"]:
                    name = "lodge-session --parent"
                found[int(stat.parent.name)] = name
        return found

    @staticmethod
    def _is_parent(pid):
        """Clones have the parent's command line; only they hold a socket of the Internet or a ring."""
        try:
            for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                try:
                    if "memfd:lodge-ring" in os.readlink(fd):
                        return False
                except OSError:
                    pass
            maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False  # it is gone, as parents are not
        return "memfd:lodge-ring" not in maps

    def pid(self, name):
        """Of the one daemon of that name ("policy")."""

        def look():
            pids = [p for p, n in self.children().items() if n == f"lodge-{name}"]
            return pids[0] if len(pids) == 1 else None

        return wait_for(look, f"one lodge-{name}")

    def sessions(self):
        return sorted(p for p, n in self.children().items() if n == "lodge-session")

    def kill(self, name, signum=signal.SIGKILL):
        """Kills a daemon; waits until gateway has started another that is ready."""
        before = self.pid(name)
        os.kill(before, signum)
        wait_for(lambda: before not in self.children(), f"the end of lodge-{name}")
        return self.pid(name)

    # ---- the clock ----

    def _clock_write(self):
        if not self.clock.exists():
            self.clock.write_bytes(bytes(16))
        with open(self.clock, "r+b") as f:  # in place: the processes have it mapped
            f.write(struct.pack("=qq", self._boot, self._wall))

    def turn(self, seconds, boot=True, wall=True):
        self._boot += int(seconds * 1000) if boot else 0
        self._wall += int(seconds * 1000) if wall else 0
        self._clock_write()

    def now(self):
        """Lodge's boot clock, in seconds since some moment."""
        return time.monotonic() + self._boot / 1000

    def turn_to(self, moment):
        """Turns the clock on to a moment of now()."""
        ahead = moment - self.now()
        assert ahead > 0, f"the scene came {-ahead:.1f} s too late"
        self.turn(ahead)

    # ---- people ----

    def askpass(self):
        return dict(os.environ, SSH_ASKPASS=str(self.dir / "clients/askpass"), SSH_ASKPASS_REQUIRE="force")

    def words(self, login, *words, options=()):
        return ["ssh", "-F", str(self.dir / "ssh_config"), *options, f"{login}@127.0.0.1", *words]

    def ssh(self, login, *words, options=("-T",), stdin=b"", timeout=60):
        """Runs ssh to its end.  The code is typed by askpass where it is asked."""
        return subprocess.run(
            self.words(login, *words, options=options),
            input=stdin,
            capture_output=True,
            env=self.askpass(),
            timeout=timeout,
        )

    def begin(self, login, *words, options=("-T",), **how):
        """The same, going on."""
        how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        one = subprocess.Popen(self.words(login, *words, options=options), env=self.askpass(), **how)
        self.terminals.append(one)
        return one

    def verb(self, person, *words, status=0):
        """A verb over ssh that must end with `status`; what it says."""
        done = self.ssh(person, *words)
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == status, f"{person} {' '.join(words)}: exit {done.returncode}: {said}"
        return said

    def json(self, person, *words):
        """A verb's answer in JSON."""
        done = self.ssh(person, *words, "--json")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def lodge(self, *words, uid=None, stdin=""):
        """A verb on the box, as root or as somebody else.  stdin: the secret, where the verb wants one."""
        before = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"] if uid else []
        return subprocess.run(
            [*before, self.dir / "lib/lodge", "-s", self.control, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def approve(self, number, *words):
        return self.verb("maria", "approve", str(number), *(words or ("--for", "2h")))

    def granted(self, span="2h"):
        """alice asks for osv1, maria says yes; the request's number."""
        said = self.verb("alice", "request", "osv1", "--for", span, "--why", "a scene")
        number = int(re.search(r"request (\d+)", said).group(1))
        self.approve(number, "--for", span)
        return number

    def terminal(self, login, *words, options=(), size=(30, 100), **how):
        """ssh on a terminal of its own; the code is typed here, as a person would."""
        one = pexpect.spawn(
            "ssh",
            self.words(login, *words, options=options)[1:],
            env=dict(os.environ, TERM="xterm-256color", SSH_ASKPASS_REQUIRE="never"),
            dimensions=size,
            timeout=PATIENCE,
            encoding="utf-8",
            codec_errors="replace",
            **how,
        )
        self.terminals.append(one)
        return one

    def code(self, person):
        return self._site("code", self.dir, person).strip()

    def shell(self, login="alice+osv1"):
        """A shell on osv1 at its prompt (there must be a grant, and no code)."""
        one = self.terminal(login)
        one.expect_exact(f"{self.account}@osv1:")
        return one

    def events(self, person="maria", action=None):
        """The book's events, oldest first."""
        lines = self.ssh(person, "events", "--json").stdout.decode().splitlines()
        text = "\n".join(lines)
        found = json.loads(text) if text.startswith("[") else [json.loads(line) for line in lines if line]
        return [e for e in found if action is None or e["event"]["action"] == action]

    def target_processes(self, pattern):
        done = subprocess.run(["pgrep", "-u", self.account, "-f", pattern], capture_output=True, text=True)
        return [int(p) for p in done.stdout.split()]

    def sealed(self, count):
        """Waits until so many recordings are whole."""

        def look():
            rows = [r for r in self.json("otto", "recordings") if r["state"] in ("whole", "recovered")]
            return rows if len(rows) >= count else None

        return wait_for(look, f"{count} sealed recordings")

    # ---- the end ----

    def end(self, check=True):
        """Ends what was started, and removes it; a sanitizer's report or a process left behind fails the scene."""
        children = {}
        for one in self.terminals:
            if isinstance(one, subprocess.Popen):
                if one.poll() is None:
                    one.kill()
                one.wait(10)  # not communicate(): a scene may have closed what it typed into
                for pipe in (one.stdin, one.stdout, one.stderr):
                    if pipe is not None:
                        pipe.close()
            else:
                one.close(force=True)
        status = None
        if self.gateway is not None:
            children = self.children()
            if self.gateway.poll() is None:
                self.gateway.terminate()
            try:
                status = self.gateway.wait(30)
            except subprocess.TimeoutExpired:
                self.gateway.kill()
                self.gateway.wait()
        log = self.log() if (self.dir / "lodge.log").exists() else ""
        reports = [p.read_text(errors="replace") for p in sorted(self.dir.glob("reports/*"))]
        reports = [r for r in reports if "ERROR: " in r or "runtime error: " in r]  # not: remarks of the leak finder's own
        left = [p for p in children if os.path.exists(f"/proc/{p}") and self._lives(p)]
        for p in left:
            os.kill(p, signal.SIGKILL)
        if self.sshd is not None:
            self.sshd.terminate()
            self.sshd.wait(10)
        subprocess.run([SITE, "remove", self.dir], capture_output=True)
        shutil.rmtree(self.dir, ignore_errors=True)
        if check:
            assert not reports, "a sanitizer speaks:\n" + "\n".join(reports)[:6000]
            assert status == 0, f"lodge-gateway ended with {status}:\n{log[-3000:]}"
            assert not left, f"processes were left behind: {[children[p] for p in left]}\n{log[-3000:]}"

    @staticmethod
    def _lives(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
        except FileNotFoundError:
            return False
