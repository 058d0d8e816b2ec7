"""The notebooks in a real JupyterLab, as a reader runs them: open, Run All, no error."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from conftest import ROOT

NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]


class Lab(NamedTuple):
    url: str
    folder: Path


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "notebooks").mkdir()
    for name in NOTEBOOKS:  # without outputs, so that what is seen afterwards was run here
        notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, folder / "notebooks" / name)
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
        yield Lab(url, folder)
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
        page.goto(f"{lab.url}/lab/workspaces/auto-{name[:2]}/tree/notebooks/{name}?reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=90_000)
        page.wait_for_timeout(2_000)
        if page.locator(".jp-Dialog button:has-text('Select')").count():
            page.click(".jp-Dialog button:has-text('Select')")
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=90_000)
        page.click("li.lm-MenuBar-item:has-text('Run')")
        page.click("li[data-command='runmenu:run-all'], .lm-Menu-item:has-text('Run All Cells')")
        page.wait_for_timeout(2_000)
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", timeout=300_000)
        page.keyboard.press("Control+s")
        page.wait_for_timeout(1_500)
        errors = page.locator("[data-mime-type='application/vnd.jupyter.error']").count()
        shots = os.environ.get("NOTEBOOK_SCREENSHOTS")
        if shots:
            page.screenshot(path=str(Path(shots) / f"{name[:2]}.png"))
        prompts = page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
        browser.close()
    assert errors == 0
    # JupyterLab draws only the cells near the window; each one drawn has its number.
    assert any(prompt.strip("[]: ").isdigit() for prompt in prompts)
    assert not any("*" in prompt for prompt in prompts)
    saved = nbformat.read(lab.folder / "notebooks" / name, as_version=4)
    cells = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]
