"""One client doing one thing, one way: it is run, and then the target, the recording and its ledger must say the same."""

import os
import pathlib
import shutil
import subprocess

import recording
import truth
from site_of_lodge import wait_for

PATIENCE = 180  # seconds that one client may take
TREE = {
    "empty": b"",
    "one byte": b"1",
    "größe/ü.txt": "groß\n".encode(),
    "deep/er/still/binary": bytes(range(256)) * 300,
    "deep/it's $HOME; x": b"no shell reads this\n",
    **{f"many/{n}": b"%d\n" % n * n for n in range(40)},
}


class Case:
    def __init__(self, ground, way, number, local):
        self.ground, self.way, self.local = ground, way, local
        self.name = f"case{number}"  # a directory in the account's home
        self.remote = ground.home / self.name
        self.config = ground.config
        self.remote.mkdir()
        os.chown(self.remote, ground.uid, ground.gid)
        self._heard, self._shelf = ground.heard(), ground.shelf()
        self._carried = []
        self.compared = False

    # ---- running ----

    def ssh(self, *options):
        """The beginning of an OpenSSH command line, up to where the host goes."""
        return ["ssh", "-F", str(self.config), *options, self.way.host]

    def run(self, words, stdin=b"", status=0, env=None, cwd=None, timeout=PATIENCE):
        """Runs a client to its end; it must end so.  stdin: bytes, or an open file."""
        how = {"stdin": stdin} if hasattr(stdin, "fileno") else {"input": stdin}
        done = subprocess.run(
            [str(w) for w in words],
            capture_output=True,
            env=dict(self.ground.env, **(env or {})),
            cwd=cwd or self.local,
            timeout=timeout,
            **how,
        )
        if status is not None:
            said = done.stderr.decode(errors="replace")[-2000:] or done.stdout.decode(errors="replace")[-2000:]
            assert (
                done.returncode == status
            ), f"exit {done.returncode}, not {status}: {' '.join(map(str, words))}\n{said}"
        return done

    def begin(self, words, env=None):
        """Starts a client that goes on; it is ended with the site at the latest."""
        pipe = subprocess.PIPE
        env = dict(self.ground.env, **(env or {}))
        one = subprocess.Popen([str(w) for w in words], env=env, cwd=self.local, stdin=pipe, stdout=pipe, stderr=pipe)
        self.ground.site.terminals.append(one)
        return one

    # ---- files ----

    def upload_here(self, name, data):
        """Makes a file at home that is to be sent."""
        path = self.local / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def target_file(self, name, data):
        """Makes a file of this case at the target."""
        path = self.remote / name
        path.write_bytes(data)
        os.chown(path, self.ground.uid, self.ground.gid)
        return path

    def tree_here(self):
        """A directory at home with names that are hard to carry."""
        for name, data in TREE.items():
            self.upload_here(f"tree/{name}", data)
        return self.local / "tree"

    def target_tree(self):
        """The same at the target."""
        top = self.remote / "tree"
        for name, data in TREE.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_bytes(data)
        subprocess.run(["chown", "-R", f"{self.ground.uid}:{self.ground.gid}", top], check=True)
        return top

    def tree_uploaded(self, name="tree", ledger=True):
        for path in TREE:
            self.uploaded(self.local / "tree" / path, f"{name}/{path}", ledger)

    def tree_downloaded(self, local, ledger=True):
        for path in TREE:
            self.downloaded(self.remote / "tree" / path, pathlib.Path(local) / path, ledger)

    def uploaded(self, local, name, ledger=True):
        """The target's file NAME of this case must be what `local` is; so must the ledger say, where there is one."""
        path = self.remote / name
        assert truth.digest(path) == truth.digest(local), f"{path} is not {local}"
        if ledger:
            self._carried.append(("upload", path))

    def downloaded(self, path, local, ledger=True):
        assert truth.digest(path) == truth.digest(local), f"{local} is not {path}"
        if ledger:
            self._carried.append(("download", pathlib.Path(path)))

    # ---- comparing ----

    def target(self):
        """What the target heard in this case, all of it being over."""
        ground = self.ground

        def look():
            found = [truth.heard_open(ground.taps / f"{name}.json") for name in sorted(ground.heard() - self._heard)]
            return found if found and None not in found else None

        return wait_for(look, "the end of all sessions at the target", 60)

    def recordings(self):
        """What Lodge recorded in this case, sealed and opened."""
        ground = self.ground

        def look():
            found = ground.shelf() - self._shelf
            return found if found and all((p / "SHA256SUMS").exists() for p in found) else None

        found = wait_for(look, "the sealing of the recordings", 60)
        return [recording.open(ground.site, path.name) for path in sorted(found)]

    def compare(self, early=False):
        """Target against recording, byte by byte.  early: the client or the command left before all was read.
        Gives both, for what a test wants to see besides."""
        self.compared = True
        heard = self.target()
        if self.way.is_direct:
            assert not self.ground.shelf() - self._shelf, "a direct connection was recorded"
            return heard, []
        opened = self.recordings()
        channels = [
            (asked, {name: r.bytes(c, name) for name in truth.STREAMS}, truth.ended_of(r, c))
            for r in opened
            for c in r.channels
            if (asked := truth.asked_of(r, c))[0] != "forward"
        ]
        files = [f for r in opened for f in r.facts("file")]
        operations = [o for r in opened for o in r.facts("operation")]
        wrong = truth.streams_compare(heard, channels, early)
        wrong += truth.ledger_compare(heard, self._of_sftp(files), operations)
        for op, path in self._carried:
            wrong += truth.carried_compare(op, path, self.ground.home, files)
        assert not wrong, "\n".join(wrong[:8])
        return heard, opened

    def _of_sftp(self, files):
        """scp's own protocol has no log at the target; its files are judged by their digests."""
        return [f for f in files if "flags" in f]

    def compare_forwards(self, count):
        """compare(), where so many fetches of the page went through forwards; each has a stream of its own."""
        heard, opened = self.compare()
        if self.way.is_direct:
            return
        forwards = [(r, c) for r in opened for c in r.channels if truth.asked_of(r, c)[0] == "forward"]
        assert len(forwards) == count
        for r, c in forwards:
            assert r.bytes(c, "out").endswith(b"\r\n\r\n" + self.ground.page.body)
            assert r.bytes(c, "in").startswith(b"GET / HTTP/1.1\r\n")

    def end(self):
        """Makes room.  What is on the shelf stays: it is verified at the end."""
        shutil.rmtree(self.remote, ignore_errors=True)
        shutil.rmtree(self.local, ignore_errors=True)
        for name in self.ground.heard() - self._heard:
            for path in self.ground.taps.glob(f"{name}.*"):
                path.unlink()
