"""Policy's database is locked, not to be written, full, removed under it, or broken: nobody new comes in, and reads why;
whoever is in goes on; the operator reads once what to do; and it works again when that is done."""

import os
import pathlib
import re
import sqlite3
import subprocess
import tempfile

import pytest
from site_of_lodge import Site, wait_for

AWAY = "lodge: denied [policy-away] nobody is there to decide; try again in a minute"


@pytest.fixture(scope="module")
def s():
    """A site whose database has a small disk of its own."""
    disk = pathlib.Path(tempfile.mkdtemp(prefix="lodge-database.", dir="/tmp"))

    def before(site):
        (site.dir / "state/policy").mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", site.dir / "state/policy"], check=True)

    one = Site("--no-code", before=before)
    try:
        one.granted("8h")
        yield one
        one.verb("otto", "verify", "--all")
        one.end()
    finally:
        subprocess.run(["umount", "-l", one.dir / "state/policy"], check=False)
        one.end(check=False)
        disk.rmdir()
