"""A browser, and the site, built once of the kept smoke results."""

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from compendium.site.build import build_site
from engine.paths import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = "COMPENDIUM_BROWSER"  # set to "required" where a missing browser is a failure


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Folder of the built site."""
    results = tmp_path_factory.mktemp("results") / "smoke"
    shutil.copytree(ROOT / "results" / "reference" / "smoke", results)
    return build_site(results)


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium; tests that need it are skipped where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        words = f"no browser: none of {', '.join(NAMES)} is installed"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(words)
        pytest.skip(words)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()
