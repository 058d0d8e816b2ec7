"""The notebooks in a real JupyterLab, as a reader runs them: open, Run All, no error."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conftest import ROOT

NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    (folder / "data").symlink_to(ROOT / "data")
    (folder / "docs").symlink_to(ROOT / "docs")
    port = 18888 + os.getpid() % 1000
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(f"--port={port}", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token="),
        *("--ServerApp.password=", f"--ServerApp.root_dir={folder}"),
        *(
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ),
    ]
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        url = f"http://127.0.0.1:{port}"
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/api/status", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        else:
            pytest.fail((folder / "lab.log").read_text()[-2000:])
        yield url
        server.terminate()
        server.wait(30)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_run_all_is_green(lab, name):
    if name.startswith("12") and not os.environ.get("BOUNDARY_RESEARCH_DATA"):
        pytest.skip("BOUNDARY_RESEARCH_DATA is not set")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{lab}/lab/workspaces/auto-{name[:2]}/tree/notebooks/{name}?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=90_000)
        page.click("li.lm-MenuBar-item:has-text('Run')")
        page.click("li[data-command='runmenu:run-all'], .lm-Menu-item:has-text('Run All Cells')")
        page.wait_for_timeout(2_000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=300_000)
        errors = page.locator("[data-mime-type='application/vnd.jupyter.error']").count()
        shots = os.environ.get("NOTEBOOK_SCREENSHOTS")
        if shots:
            page.screenshot(path=str(Path(shots) / f"{name[:2]}.png"))
        prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
        browser.close()
    assert errors == 0
    assert prompts
    assert not any("*" in prompt for prompt in prompts)
