"""What a newcomer runs: etc/demo plays by itself and leaves nothing; --stay is something other programs can be
pointed at, and ends with everything it made when it is told to."""

import json
import os
import signal
import subprocess
import time

from site_of_lodge import TOP, wait_for

DEMO = TOP / "etc/demo"


def test_the_demo_plays_to_its_end():
    done = subprocess.run([DEMO, "--no-install"], capture_output=True, text=True, errors="replace", timeout=400)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.count("ok: ") >= 9
    for step in ("1. alice", "2. maria", "3. The same connection", "4. The twenty seconds", "4b.", "5. otto"):
        assert f"== {step}" in done.stdout, step
    assert "everything is removed again" in done.stdout


def test_it_stays_for_other_programs(tmp_path):
    where = f"/tmp/lodge-stay.{os.getpid()}"
    demo = subprocess.Popen(
        [DEMO, "--no-install", "--stay", "--dir", where, "--approved", "8h", "--no-code"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        facts_file = f"{where}/site.json"
        wait_for(lambda: os.path.exists(facts_file) or demo.poll() is not None, "site.json", 300)
        assert demo.poll() is None, demo.stdout.read()
        facts = json.load(open(facts_file))
        for key in ("ssh_port", "host_key_fingerprint", "logins", "targets", "ssh_config", "recordings", "control", "build", "pid"):
            assert key in facts, key
        assert {"name", "role", "private_key", "totp_secret"} <= set(facts["logins"][0])
        assert {"name", "account", "sshd_port"} <= set(facts["targets"][0])
        said = subprocess.run(
            ["ssh", "-F", facts["ssh_config"], "-T", "alice+osv1@127.0.0.1", "id", "-un"], capture_output=True, text=True
        )
        assert said.stdout == facts["targets"][0]["account"] + "\n", said.stderr
        code = subprocess.run(["oathtool", "--totp", "-b", facts["logins"][0]["totp_secret"]], capture_output=True)
        assert code.returncode == 0
        os.kill(facts["pid"], signal.SIGTERM)
        demo.wait(40)
        assert not os.path.exists(facts_file)
        left = subprocess.run(["pgrep", "-f", where], capture_output=True, text=True).stdout.split()
        assert not left, left
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(40)
        if os.path.isdir(where):
            os.rmdir(where)
