"""When all clients have gone: nobody is left inside, and every recording they made is whole and proves itself."""

from site_of_lodge import wait_for


def test_nobody_is_left(ground):
    wait_for(lambda: not ground.site.sessions(), "the end of all sessions")


def recordings(site):
    """All of them: a list shows so many at once, the newest, and goes on before the oldest of these."""
    rows = more = site.json("otto", "recordings")
    while more:
        more = site.json("otto", "recordings", "--before", str(min(r["number"] for r in more)))
        rows = rows + more
    return rows


def test_every_recording_proves_itself(ground):
    rows = recordings(ground.site)
    assert {r["state"] for r in rows} <= {"whole"}
    assert len(rows) == len(ground.shelf())
    done = ground.site.ssh("otto", "verify", "--all", timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:].decode()
