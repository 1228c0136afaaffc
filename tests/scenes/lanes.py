"""Runs scene files side by side, each in a pytest of its own with a site of its own.

    lanes.py LOGS FILE...

Those that took longest the last time begin first.  A file with `ALONE = True` at its top level measures what company
would disturb, and runs when all others are over.  What a file said lies in LOGS/NAME.log, the seconds it took in
LOGS/NAME.seconds; what failed is shown, and the last line sums up.  Exit 0 when every file passed.
"""

import collections
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

LANES = max(2, 3 * (os.cpu_count() or 1) // 2)  # a scene waits half of its time
PYTEST = ("-q", "--maxfail=5", "-p", "no:cacheprovider", "--tb=short", "-o", "faulthandler_timeout=300")
COUNTED = ("failed", "error", "passed", "skipped", "xfailed", "xpassed")


class File:
    def __init__(self, logs, path):
        self.path = pathlib.Path(path)
        self.log, self.seconds = logs / f"{self.path.stem}.log", logs / f"{self.path.stem}.seconds"
        text = self.path.read_text()
        self.alone = re.search(r"^ALONE = True$", text, re.M) is not None
        # A file that was never run: by its size, at a line in a quarter of a second.
        self.expected = float(self.seconds.read_text()) if self.seconds.exists() else text.count("\n") / 4
        self.status = self.took = None
        self.counts = collections.Counter()

    def run(self):
        began = time.monotonic()
        with open(self.log, "wb") as log:
            self.status = subprocess.run(
                [sys.executable, "-m", "pytest", *PYTEST, self.path], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            ).returncode
        self.took = time.monotonic() - began
        text = self.log.read_text(errors="replace")
        lines = text.rstrip().splitlines()
        for count, what in re.findall(r"(\d+) (\w+)", lines[-1] if lines else ""):
            what = "error" if what == "errors" else what
            if what in COUNTED:
                self.counts[what] += int(count)
        if self.status == 0:
            self.seconds.write_text(f"{self.took:.0f}\n")
        print(f"{self.path.stem}: {', '.join(f'{n} {w}' for w, n in self.counts.items()) or 'nothing ran'}"
              f" ({self.took:.0f} s)", flush=True)


def main(logs, *paths):
    began = time.monotonic()
    logs = pathlib.Path(logs)
    logs.mkdir(parents=True, exist_ok=True)
    files = sorted((File(logs, path) for path in paths), key=lambda f: -f.expected)
    with concurrent.futures.ThreadPoolExecutor(LANES) as lanes:
        list(lanes.map(File.run, [f for f in files if not f.alone]))
    for f in files:
        if f.alone:
            f.run()
    failed = [f for f in files if f.status != 0]
    for f in failed:
        print(f"==== {f.log}\n{f.log.read_text(errors='replace')}")
    sums = sum((f.counts for f in files), collections.Counter())
    sums = ", ".join(f"{sums[what]} {what}" for what in COUNTED if sums[what])
    print(f"{sums} in {len(files)} files, {sum(f.took for f in files):.0f} s of scenes in {time.monotonic() - began:.0f} s")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
