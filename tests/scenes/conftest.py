"""What scenes share: a site that is made for one file, or for one scene, and that always ends."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
from site_of_lodge import Site  # noqa: E402


def kept(request, one):
    """Lends a site; ends it, and looks at how it ended when nothing has failed before."""
    before = request.session.testsfailed
    yield one
    failed = request.session.testsfailed > before
    if failed:
        print(one.log()[-8000:])
    one.end(check=not failed)


@pytest.fixture
def make_site(request):
    """make_site(*words, **how): a site that ends with the scene."""
    sites = []

    def make(*words, **how):
        sites.append(Site(*words, **how))
        return sites[-1]

    yield make
    failed = getattr(request.node, "scene_failed", False)
    for one in sites:
        if failed:
            print(one.log()[-8000:])
        one.end(check=not failed)


@pytest.fixture(scope="module")
def site(request):
    """One site for all scenes of a file: no code unless the file's SITE_WORDS say otherwise."""
    yield from kept(request, Site(*getattr(request.module, "SITE_WORDS", ("--no-code",))))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        item.scene_failed = True
