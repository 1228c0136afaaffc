"""lftp (over stock ssh) and curl (libssh2), sftp both."""

import base64
import subprocess

import pytest
from ground import answers, free_port
from site_of_lodge import wait_for

feature = pytest.mark.feature
lftp_row = pytest.mark.client("lftp")
curl_row = pytest.mark.client("curl sftp")


# ---- lftp ----


def lftp(case, *lines):
    """lftp leaves without closing its last file, and without waiting for the target's last bytes: compare(early=True)."""
    way = case.way
    where = f"-u {way.user}, -p {way.port} sftp://{way.address}"
    if way.is_jump:
        where = f"-u {way.user}, sftp://osv1"
    before = [
        f'set sftp:connect-program "ssh -a -x -F {case.ground.config}"',
        "set cmd:fail-exit yes",
        "set net:max-retries 1",
        f"open {where}",
    ]
    return case.run(["lftp", "-c", "; ".join([*before, *lines])])


@lftp_row
@feature("put")
def test_lftp_put(case):
    lftp(case, f"put {case.ground.up} -o {case.name}/up.bin")
    case.uploaded(case.ground.up, "up.bin")
    case.compare(early=True)


@lftp_row
@feature("get")
def test_lftp_get(case):
    lftp(case, f"get down.bin -o {case.local}/down.bin")
    case.downloaded(case.ground.down, case.local / "down.bin")
    case.compare(early=True)


@lftp_row
@feature("tree")
def test_lftp_mirror(case):
    case.tree_here()
    lftp(case, f"mirror -R -P 4 {case.local}/tree {case.name}/tree")
    case.tree_uploaded()
    lftp(case, f"mirror -P 4 {case.name}/tree {case.local}/back")
    case.tree_downloaded(case.local / "back")
    case.compare(early=True)


@lftp_row
@feature("manage")
def test_lftp_manage(case):
    small = case.upload_here("small", b"small\n")
    done = lftp(
        case,
        f"cd {case.name}",
        "mkdir d",
        f"put {small} -o d/a",
        "mv d/a d/b",
        "chmod 600 d/b",
        "cls -l d",
        f"put {small}",
        "rm small",
        "mkdir e",
        "rmdir e",
    )
    assert b"-rw-------" in done.stdout
    assert sorted(p.name for p in case.remote.rglob("*")) == ["b", "d"]
    case.compare(early=True)


# ---- curl ----


@pytest.fixture
def curl(case):
    """curl(*words): through Lodge by -J, a SOCKS proxy of stock ssh's is between."""
    ground, way = case.ground, case.way
    key = base64.b64decode(ground.host_key(way).split()[1])
    digest = subprocess.run(["openssl", "sha256", "-binary"], input=key, capture_output=True, check=True).stdout
    words = ["curl", "-sS", "--key", ground.key, "--pubkey", f"{ground.key}.pub", "-u", f"{way.user}:"]
    words += ["--hostpubsha256", base64.b64encode(digest).decode().rstrip("=")]
    proxy = None
    if way.is_jump:
        port = free_port()
        proxy = case.begin(["ssh", "-F", ground.config, "-NT", "-D", str(port), "lodge"])
        wait_for(lambda: proxy.poll() is not None or answers(port), "ssh -D")
        words += ["--proxy", f"socks5h://127.0.0.1:{port}"]
    where = f"sftp://{way.address}:{way.port}/~/"

    def run(*more, **how):
        return case.run([*words, *(str(w).replace("HOST/", where) for w in more)], **how)

    def end():
        if proxy is not None:
            proxy.terminate()
            proxy.communicate(timeout=30)

    run.end = end
    yield run
    end()


@curl_row
@feature("put")
def test_curl_put(case, curl):
    curl("-T", case.ground.up, f"HOST/{case.name}/up.bin")
    curl.end()
    case.uploaded(case.ground.up, "up.bin")
    case.compare()


@curl_row
@feature("get")
def test_curl_get(case, curl):
    curl("-o", case.local / "down.bin", "HOST/down.bin")
    curl.end()
    case.downloaded(case.ground.down, case.local / "down.bin")
    case.compare()


@curl_row
@feature("manage")
def test_curl_manage(case, curl):
    small = case.upload_here("small", b"small\n")
    done = curl(
        "--ftp-create-dirs",
        "-T",
        small,
        f"HOST/{case.name}/d/a",
        "-Q",
        f"-rename {case.remote}/d/a {case.remote}/d/b",
        "-Q",
        f"-chmod 600 {case.remote}/d/b",
    )
    done = curl(f"HOST/{case.name}/d/")
    curl.end()
    assert b"-rw-------" in done.stdout
    assert (case.remote / "d/b").read_bytes() == b"small\n"
    case.compare()
