"""OpenSSH's ssh: a command, its exit status and signals, streams both ways, shells with and without a terminal, many
channels on one connection, -W, ssh:// URIs, forwards to what the grant names."""

import hashlib
import os
import re
import signal
import subprocess

import pexpect
import pytest
from ground import free_port
from site_of_lodge import wait_for

pytestmark = pytest.mark.client("OpenSSH ssh")
feature = pytest.mark.feature


# ---- commands ----


@feature("exec")
def test_streams_are_apart(case):
    done = case.run([*case.ssh(), "printf 'a\\0b\\377'; echo err >&2; exit 3"], status=3)
    assert (done.stdout, done.stderr) == (b"a\0b\xff", b"err\n")
    case.compare()


@feature("exec")
def test_words_pass_as_they_are(case):
    done = case.run([*case.ssh(), "printf '%s|'", "'a  b'", '"$HOME"', "'*'", "'ü'", "\\;", "'\n'"])
    assert done.stdout == f"a  b|{case.ground.home}|*|ü|;|\n|".encode()
    case.compare()


@feature("exec")
@pytest.mark.parametrize("status", [0, 1, 75, 77, 124, 254, 255])
def test_exit_status(case, status):
    done = case.run([*case.ssh(), f"exit {status}"], status=status)
    assert (done.stdout, done.stderr) == (b"", b"")
    case.compare()


@feature("exec")
@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV"])
def test_exit_signal(case, name):
    done = case.run([*case.ssh("-v"), f"kill -{name} $$"], status=255)
    assert b"exit-signal" in done.stderr
    heard, _ = case.compare()
    assert heard[0].status == -getattr(signal, f"SIG{name}")


@feature("exec")
def test_an_early_end_of_the_reader(case):
    """`ssh osv1 yes | head -1` ends, on both sides."""
    yes = case.begin([*case.ssh(), "yes"])
    assert yes.stdout.readline() == b"y\n"
    yes.stdout.close()
    yes.stdin.close()
    yes.wait(60)
    heard, _ = case.compare(early=True)
    assert heard[0].status == -signal.SIGPIPE


@feature("exec")
def test_an_early_end_of_the_command(case):
    """`yes | ssh osv1 head -1` ends."""
    yes = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    done = case.run([*case.ssh(), "head -1"], stdin=yes.stdout, timeout=60)
    yes.stdout.close()
    yes.kill()
    yes.wait()
    assert done.stdout == b"y\n"
    case.compare(early=True)


@feature("exec")
def test_environment_by_list(case):
    done = case.run([*case.ssh("-o", "SetEnv=LC_TEST=ü LD_PRELOAD=x BASH_ENV=/etc/passwd"), "env"])
    env = done.stdout.decode().splitlines()
    assert "LC_TEST=ü" in env
    assert not [x for x in env if x.startswith(("LD_PRELOAD", "BASH_ENV"))]
    case.compare()


# ---- streams ----


@feature("streams")
def test_to_the_target(case):
    with open(case.ground.up, "rb") as f:
        done = case.run([*case.ssh(), f"cat > {case.name}/up.bin; echo $?"], stdin=f)
    assert done.stdout == b"0\n"
    case.uploaded(case.ground.up, "up.bin", ledger=False)
    case.compare()


@feature("streams")
def test_from_the_target(case):
    done = case.run([*case.ssh(), "cat down.bin"])
    assert hashlib.sha256(done.stdout).hexdigest() == hashlib.sha256(case.ground.down.read_bytes()).hexdigest()
    case.compare()


@feature("streams")
def test_both_at_once_and_a_half_close(case):
    data = os.urandom(8 << 20)
    done = case.run([*case.ssh(), "tee /dev/stderr; echo the end"], stdin=data)
    assert done.stdout == data + b"the end\n"
    assert done.stderr == data
    case.compare()


@feature("streams")
def test_new_keys_on_the_way(case):
    """RekeyLimit at the client: the streams go on through many key exchanges."""
    data = os.urandom(8 << 20)
    done = case.run([*case.ssh("-o", "RekeyLimit=512K"), "cat"], stdin=data)
    assert done.stdout == data
    case.compare()


# ---- shells ----


def prompt(case):
    return f"{case.ground.account}@osv1:~$ "


@feature("shell")
def test_a_shell_without_terminal(case):
    done = case.run(case.ssh("-T"), stdin=b"echo $((6*7)); tty; exit 5\n", status=5)
    assert b"42\n" in done.stdout and b"not a tty" in done.stdout
    case.compare()


@feature("shell")
def test_a_shell_with_a_terminal(case):
    """script(1) runs within: what it wrote down is what the terminal got."""
    one = pexpect.spawn(
        case.ssh()[0],
        case.ssh()[1:],
        env=dict(case.ground.env, TERM="xterm-256color"),
        dimensions=(31, 101),
        timeout=60,
        encoding="utf-8",
    )
    case.ground.site.terminals.append(one)
    one.expect_exact(prompt(case))
    one.sendline(f"script -qf {case.name}/typescript")
    one.expect_exact("$ ")
    one.sendline("stty size; echo $TERM; printf '\\033[31mred ü\\033[m\\n'")
    one.expect_exact("31 101\r\nxterm-256color\r\n\x1b[31mred ü\x1b[m\r\n")
    one.setwinsize(44, 120)
    one.expect_exact("$ ")
    one.sendline("stty size")
    one.expect_exact("44 120")
    one.sendline("sleep 900")
    wait_for(lambda: case.ground.site.target_processes("^sleep 900"), "her job")
    one.send("\x03")
    one.sendline("echo status $?")
    one.expect_exact("status 130")
    one.sendline("exit")
    one.expect_exact("$ ")
    one.sendline("exit 9")
    one.expect(pexpect.EOF)
    one.wait()
    assert one.exitstatus == 9
    typescript = (case.remote / "typescript").read_bytes()
    shown = typescript.split(b"\n", 1)[1].rsplit(b"\nScript done", 1)[0]
    assert b"status 130" in shown
    _, opened = case.compare()
    if opened:
        (channel,) = opened[0].channels
        assert shown in opened[0].bytes(channel, "out")
        assert b"echo status $?\n" in opened[0].bytes(channel, "in")
        assert {"cols": 101, "rows": 31}.items() <= opened[0].facts("pty")[0].items()


@feature("shell")
def test_terminal_modes(case):
    """stty -a within is as outside, and the same each way: a client's modes reach the target's terminal."""
    one = pexpect.spawn(
        "/bin/sh",
        ["-c", 'stty -echoctl ixany werase ^B erase ^H; exec "$@"', "sh", *case.ssh("-t"), "stty -a"],
        env=dict(case.ground.env, TERM="vt100"),
        dimensions=(24, 80),
        timeout=60,
        encoding="utf-8",
    )
    case.ground.site.terminals.append(one)
    one.expect(pexpect.EOF)
    one.wait()
    assert one.exitstatus == 0
    shown = one.before.split("Connection to")[0]
    assert shown == case.ground.modes.setdefault("vt100", shown), "not as on the way that was tried before"
    for mode in ("-echoctl", " ixany", "werase = ^B", "erase = ^H", "rows 24", "columns 80"):
        assert mode in shown, shown
    case.compare()


@feature("shell")
def test_a_closed_terminal_hangs_up(case):
    one = pexpect.spawn("ssh", [*case.ssh("-tt")[1:], "sleep 901"], env=case.ground.env, timeout=60)
    case.ground.site.terminals.append(one)
    wait_for(lambda: case.ground.site.target_processes("^sleep 901"), "her job")
    one.close(force=True)
    wait_for(lambda: not case.ground.site.target_processes("^sleep 901"), "its end")
    case.compare(early=True)


# ---- many channels ----


@feature("many channels")
def test_thirty_on_one_connection(case):
    path = case.local / "mux"
    options = ("-o", f"ControlPath={path}")
    master = case.begin(case.ssh("-MNT", *options))
    wait_for(path.exists, "the master's socket")
    many = [
        case.begin(
            [*case.ssh("-T", *options), f"head -c {n}00000 /dev/zero | tr '\\0' {chr(97 + n % 26)}; cat; exit {n}"]
        )
        for n in range(1, 31)
    ]
    for n, one in enumerate(many, 1):
        out, err = one.communicate(input=b"%d\n" % n, timeout=120)
        assert (one.returncode, err) == (n, b"")
        assert out == bytes([97 + n % 26]) * (n * 100000) + b"%d\n" % n
    case.run(case.ssh("-O", "exit", *options), status=0)
    master.communicate(timeout=30)
    case.compare()


@feature("many channels")
def test_one_after_the_other(case):
    """ControlPersist, as Ansible and the snippet have it: 40 commands on one connection."""
    options = ("-T", "-o", f"ControlPath={case.local}/mux", "-o", "ControlMaster=auto", "-o", "ControlPersist=30")
    for n in range(40):
        done = case.run([*case.ssh(*options), f"echo {n}; exit {n}"], status=n)
        assert done.stdout == b"%d\n" % n
    case.run(case.ssh("-O", "exit", *options))
    case.compare()


# ---- addresses ----


@feature("addresses")
def test_ssh_uri(case):
    """In a URI, OpenSSH makes a space of `+`."""
    way = case.way
    if way.is_jump:
        jump = case.ground.ways["plus"]
        words = ["-J", f"ssh://alice@127.0.0.1:{jump.port}", f"ssh://{way.user}@osv1"]
    else:
        words = [f"ssh://{way.user}@{way.address}:{way.port}"]
    done = case.run(["ssh", "-F", case.ground.config, *words, "echo $USER"])
    assert done.stdout.decode() == f"{case.ground.account}\n"
    case.compare()


@feature("addresses")
def test_the_account_is_named(case):
    site = case.ground.site
    host = {"direct": ["direct"], "plus": ["-p", site.port, f"alice+osv1+{site.account}@127.0.0.1"]}.get(case.way.name)
    host = host or ["-o", "HostKeyAlias=lodge", "-J", f"alice@127.0.0.1:{site.port}", f"{site.account}@osv1"]
    assert case.run(["ssh", "-F", case.ground.config, *host, "id -un"]).stdout.decode() == f"{site.account}\n"
    case.compare()


@feature("addresses")
@pytest.mark.parametrize("separator", [" ", "%", ":", "#"])
def test_other_separators(case, separator):
    if case.way.name != "plus":
        pytest.skip("a login name of Lodge's own")
    words = [
        "ssh",
        "-F",
        case.ground.config,
        "-p",
        case.way.port,
        "-l",
        f"alice{separator}osv1",
        "127.0.0.1",
        "echo here",
    ]
    assert case.run(words).stdout == b"here\n"
    case.compare()


@feature("addresses")
def test_jump_without_account(case):
    """ssh -J alice@lodge osv1: the client sends a name of its own, alice's here."""
    if not case.way.is_jump:
        pytest.skip("-J alone")
    words = ["ssh", "-F", case.ground.config, "-l", "alice", "-J", "lodge", "osv1", "id -un"]
    assert case.run(words).stdout.decode() == f"{case.ground.account}\n"
    case.compare()


@feature("addresses")
def test_proxy_command(case):
    """ssh -W, as ProxyCommand."""
    if not case.way.is_jump:
        pytest.skip("-W takes a way through Lodge")
    proxy = f"ssh -F {case.ground.config} -W %h:%p lodge"
    done = case.run(
        [*case.ssh("-o", "ProxyJump=none", "-o", f"ProxyCommand={proxy}"), "cat; exit 4"], stdin=b"in\n", status=4
    )
    assert done.stdout == b"in\n"
    case.compare()


@feature("addresses")
def test_two_connections_through_one(case):
    """A master to Lodge, and two inner connections through it."""
    if not case.way.is_jump:
        pytest.skip("-J alone")
    path = case.local / "mux"
    master = case.begin(["ssh", "-F", case.ground.config, "-MNT", "-o", f"ControlPath={path}", "lodge"])
    wait_for(path.exists, "the master's socket")
    proxy = f"ssh -F {case.ground.config} -o ControlPath={path} -W %h:%p lodge"
    words = case.ssh("-o", "ProxyJump=none", "-o", f"ProxyCommand={proxy}")
    both = [case.begin([*words, f"cat; exit {n}"]) for n in (1, 2)]
    for n, one in enumerate(both, 1):
        out, _ = one.communicate(input=b"%d" % n, timeout=60)
        assert (one.returncode, out) == (n, b"%d" % n)
    case.run(["ssh", "-F", case.ground.config, "-O", "exit", "-o", f"ControlPath={path}", "lodge"])
    master.communicate(timeout=30)
    case.compare()


# ---- forwards ----


def forward_begin(case, *options):
    """ssh with a forward beside a command that lives until its input ends."""
    one = case.begin([*case.ssh("-o", "ExitOnForwardFailure=yes", *options), "echo here; cat"])
    assert one.stdout.readline() == b"here\n", one.stderr.read()
    return one


@feature("forwards")
@pytest.mark.parametrize("kind", ["-L", "-D"])
def test_a_page_that_the_grant_names(case, kind):
    page, port = case.ground.page, free_port()
    if kind == "-L":
        one = forward_begin(case, "-L", f"{port}:127.0.0.1:{page.port}")
        ask = lambda: page.fetch(f"http://127.0.0.1:{port}/")
    else:
        one = forward_begin(case, "-D", str(port))
        ask = lambda: page.fetch(f"http://127.0.0.1:{page.port}/", f"socks5h://127.0.0.1:{port}")
    assert ask() == page.body
    assert ask() == page.body
    one.communicate(timeout=30)
    assert one.returncode == 0
    case.compare_forwards(2)


@feature("forwards")
def test_a_refused_one_lets_the_client_go_on(case):
    """Without a grant for it, a forward is refused, and the shell beside it lives."""
    if case.way.is_direct:
        pytest.skip("nothing refuses there")
    page, port = case.ground.page, free_port()
    one = forward_begin(case, "-L", f"{port}:127.0.0.1:{case.way.port}")
    with pytest.raises(subprocess.CalledProcessError):
        page.fetch(f"http://127.0.0.1:{port}/")
    out, err = one.communicate(input=b"alive\n", timeout=30)
    assert (one.returncode, out) == (0, b"alive\n")
    assert b"forward" in err  # the client prints our reason
    case.compare()


@feature("refused, and goes on")
@pytest.mark.parametrize("what", ["agent", "x11"])
def test_what_is_off_ends_no_login(case, what):
    env = {}
    if what == "agent":
        options = ["-A", "-o", f"IdentityAgent={case.ground.agent()}"]
    else:
        options, env = ["-X", "-o", "ForwardX11Timeout=60"], {"DISPLAY": "127.0.0.1:77"}
    done = case.run([*case.ssh(*options), "echo here; ssh-add -l 2>&1; echo $DISPLAY"], env=env)
    assert done.stdout.startswith(b"here\n")
    if not case.way.is_direct:
        assert b"Could not open a connection to your authentication agent" in done.stdout
        assert b":10" not in done.stdout
    case.compare()


@feature("refused, and goes on")
def test_a_remote_forward_is_refused(case):
    if case.way.is_direct:
        pytest.skip("nothing refuses there")
    done = case.run([*case.ssh("-R", f"{free_port()}:127.0.0.1:{case.way.port or 22}"), "echo here"])
    assert done.stdout == b"here\n"
    assert re.search(rb"remote port forwarding failed", done.stderr)
    case.compare()


@feature("long silence")
def test_keepalives_are_answered(case):
    """The client asks each second, and would leave after two questions without an answer."""
    done = case.run([*case.ssh("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2"), "sleep 5; echo alive"])
    assert done.stdout == b"alive\n"
    case.compare()
