"""Ansible: a play with copy, template, command and fetch on ten hosts at once, pipelining on and off."""

import pytest
import truth
from ground import HERE

pytestmark = pytest.mark.client("Ansible")
HOSTS = 10


def hosts(case):
    return [f"{case.way.host}-{n}" for n in range(HOSTS)]


def play(case, *settings, forks=HOSTS):
    """The user comes from ssh_config: with ansible_user, Ansible would make a directory of the name `~alice+osv1`."""
    inventory = case.upload_here("inventory", "".join(f"{h}\n" for h in hosts(case)).encode())
    template = case.upload_here("template.j2", b"this is {{ inventory_hostname }}\n")
    small = case.upload_here("small", b"small\n" * 50_000)
    config = case.upload_here(
        "ansible.cfg",
        "\n".join(
            [
                "[defaults]",
                f"local_tmp = {case.local}/tmp",
                "interpreter_python = /usr/bin/python3",
                "stdout_callback = default",
                "[ssh_connection]",
                f"ssh_args = -F {case.ground.config} -o ControlMaster=auto -o ControlPersist=60",
                f"control_path_dir = {case.local}/cp",
                *settings,
            ]
        ).encode(),
    )
    facts = f"case={case.name} large={case.ground.up} small={small} template={template} back={case.local}/back"
    done = case.run(
        ["ansible-playbook", "-i", inventory, "-f", str(forks), "-e", facts, HERE / "play.yml"],
        env={"ANSIBLE_CONFIG": str(config)},
    )
    for path in (case.local / "cp").glob("*"):  # the masters would stay a minute
        case.run(["ssh", "-F", case.ground.config, "-o", f"ControlPath={path}", "-O", "exit", "any"], status=None)
    return done, small


@pytest.mark.feature("play")
@pytest.mark.parametrize("pipelining, transfer", [(False, "sftp"), (False, "scp"), (True, "sftp")])
def test_play(case, pipelining, transfer):
    done, small = play(case, f"pipelining = {pipelining}", f"transfer_method = {transfer}")
    assert b"unreachable=0" in done.stdout and b"failed=0" in done.stdout
    for host in hosts(case):
        large = case.ground.up if host.endswith("-0") else small
        case.uploaded(large, f"{host}/copied", ledger=False)
        assert (case.remote / host / "templated").read_text() == f"this is {host}\n"
        back = case.local / "back" / host / str(case.remote / host / "copied").lstrip("/")
        assert truth.digest(back) == truth.digest(large)
    litter = [p.name for p in case.ground.home.iterdir() if "~" in p.name or "alice" in p.name]
    assert not litter
    case.compare()
