"""One ground for all clients; each test runs once for each way; the table is made of how they went."""

import itertools
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from ground import HERE, Ground  # noqa: E402, first: it finds the scenes' modules
from case import Case  # noqa: E402
from matrix import WAYS, Matrix  # noqa: E402

MATRIX = Matrix()
NUMBERS = itertools.count(1)
OUT = HERE.parents[1] / "build/clients.txt"


def pytest_configure(config):
    config.addinivalue_line("markers", "client(name): whose row of the table the tests of a file are")
    config.addinivalue_line("markers", "feature(name): the column")
    config.addinivalue_line("filterwarnings", "ignore:.*has been deprecated")  # asyncssh's ciphers, as it loads them


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", list(WAYS), indirect=True)


@pytest.fixture(scope="session")
def ground(request):
    one = Ground()
    yield one
    failed = request.session.testsfailed > 0
    if failed:
        print(one.site.log()[-4000:])
    one.end(check=not failed)


@pytest.fixture
def case(request, ground, tmp_path):
    one = Case(ground, ground.ways[request.param], next(NUMBERS), tmp_path)
    yield one
    one.end()
    if not getattr(request.node, "went_wrong", False):
        assert one.compared, "a test that compares nothing"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    item.went_wrong = getattr(item, "went_wrong", False) or report.failed or report.skipped
    client, feature = (item.get_closest_marker(name) for name in ("client", "feature"))
    if client is None or feature is None or (call.when != "call" and report.passed):
        return
    way = item.callspec.params["case"]
    if report.skipped:
        MATRIX.add(client.args[0], feature.args[0], way, "n/a", report.longrepr[2].removeprefix("Skipped: "))
    elif report.failed:
        said = str(call.excinfo.value).splitlines() or [""]
        MATRIX.add(
            client.args[0], feature.args[0], way, "FAIL", f"{item.name}: {call.excinfo.typename}: {said[0][:160]}"
        )
    else:
        MATRIX.add(client.args[0], feature.args[0], way, "ok")


def pytest_terminal_summary(terminalreporter):
    if not MATRIX.cells:
        return
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(MATRIX.text())
    terminalreporter.write_line("")
    terminalreporter.write(MATRIX.text())
