"""A real browser codes, with mouse and with keyboard alone, while the server is killed.

Needs playwright and a Chromium (CHROMIUM_PATH, default /usr/bin/chromium); the accessibility checks
need axe-core (AXE_PATH, the path of its axe.min.js). SCREENSHOTS names a folder for pictures.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from boundary_research.codebook.model import load_codebook
from boundary_research.coding._front_end import join_modules
from boundary_research.coding.store import CodingStore, create_study_store

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

CHROMIUM = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium") or "/usr/bin/chromium"
AXE = os.environ.get("AXE_PATH", "")
pytestmark = pytest.mark.skipif(
    not Path(CHROMIUM).exists(), reason=f"no Chromium at {CHROMIUM}; set CHROMIUM_PATH"
)
needs_axe = pytest.mark.skipif(
    not (AXE and Path(AXE).is_file()), reason="AXE_PATH does not name axe-core's axe.min.js"
)
CATEGORIES = load_codebook().category_ids
SECOND = "She told nobody at the office."
FIRST = "The worker 😀 met the client for coffee and gave him a watch."
COFFEE, WATCH = "met the client for coffee", "gave him a watch"
# What each coder is to find: category -> (severity, words), or a verdict.
PLAN = {
    "n00": [
        {"dual_social": (2, COFFEE), "conflict_of_interest": (2, SECOND)},
        {"dual_social": (2, COFFEE)},
    ],
    "n01": ["none", "none"],
    "n02": [{"gifts_favours": (1, WATCH)}, {"gifts_favours": (2, WATCH)}],
    "n03": [{"dual_social": (1, COFFEE)}, {"dual_social": (1, SECOND)}],
    "n04": ["none", "unclear"],
    "n05": [
        {"gifts_favours": (0, WATCH), "dual_social": (0, COFFEE)},
        {"gifts_favours": (0, WATCH)},
    ],
    "n06": ["none", {"gifts_favours": (1, WATCH)}],
    "n07": [{"gifts_favours": (1, WATCH)}, {"gifts_favours": (1, WATCH)}],
    "n08": ["none", "none"],
    "n09": [{"dual_social": (2, SECOND)}, {"dual_social": (2, SECOND)}],
}
DECISIONS = {
    ("n00", "conflict_of_interest"): (True, 2, "A decision was at stake."),
    ("n02", "gifts_favours"): (True, 1, "Small and single."),
    ("n05", "dual_social"): (False, None, "No second role."),
    ("n06", "gifts_favours"): (True, 1, "A watch is a gift."),
}
NARRATIVE = f"{FIRST}\r\n{SECOND}"


class Study:
    """A store, its links, and a server that can be killed and started again."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        incidents = pd.DataFrame({"incident_id": list(PLAN), "narrative": [NARRATIVE] * len(PLAN)})
        sample = pd.DataFrame(
            {
                "incident_id": list(PLAN),
                "inclusion_probability": [(i + 1) / 30 for i in range(len(PLAN))],
            }
        )
        self.sample = sample
        self.path = folder / "study.db"
        self.links = create_study_store(
            self.path, incidents, sample, load_codebook(), ["ana", "ben"], adjudicators=["pi"],
            random_state=4, base_url=f"http://127.0.0.1:{self.port}/", name="County study",
        )  # fmt: skip
        self.server = None
        self.start()

    def start(self):
        code = "import sys; from boundary_research.coding.page import serve_page; serve_page(sys.argv[1], port=int(sys.argv[2]))"
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-c", code, str(self.path), str(self.port)]
        self.server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "the server does not start"
                time.sleep(0.1)

    def kill(self):
        self.server.send_signal(signal.SIGKILL)
        self.server.wait()


@pytest.fixture
def study(tmp_path):
    made = Study(tmp_path)
    yield made
    made.kill()


@pytest.fixture(scope="module")
def browser():
    arguments = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, study):
    """Open a person's link in a window of her own; an error of the page fails the test."""
    contexts, errors = [], []

    def open_link(person, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(f"http://127.0.0.1:{study.port}/")
                else errors.append(f"request to {request.url}")
            ),
        )
        page.goto(study.links[person])
        page.locator("main h2, main h1").first.wait_for()
        if page.locator(".text[role=textbox]").count():
            playwright.expect(page.locator(".text")).to_be_focused()
        return page

    yield open_link
    for context in contexts:
        context.close()
    assert errors == []


def picture(page, name):
    if os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{name}.png")


def expect_status(page, pattern):
    playwright.expect(page.locator(".status")).to_have_text(re.compile(pattern), timeout=15_000)


def incident_of(page):
    return page.locator("section.reader h2 .id").inner_text()


def category_label(category):
    return load_codebook()[category].label


def key_of(category):
    keys = [key for key in "abcdefghijklmnopqrstuvwxyz" if key not in "nus"]
    return keys[CATEGORIES.index(category)]


FIND = """words => {
  const text = document.querySelector('.text');
  const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
  const nodes = []; let all = '';
  while (walker.nextNode()) { nodes.push([walker.currentNode, all.length]); all += walker.currentNode.data; }
  const at = i => { for (const [n, o] of nodes) if (i <= o + n.length) return [n, i - o]; };
  const start = all.indexOf(words); const range = document.createRange();
  range.setStart(...at(start)); range.setEnd(...at(start + words.length));
  const boxes = [...range.getClientRects()].filter(b => b.width > 0);
  const [a, z] = [boxes[0], boxes.at(-1)];
  return [a.left + 0.5, (a.top + a.bottom) / 2, z.right - 0.5, (z.top + z.bottom) / 2];
}"""


def select_with_mouse(page, words):
    x0, y0, x1, y1 = page.evaluate(FIND, words)
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, y1)
    page.mouse.move(x1, y1)
    page.mouse.up()
    playwright.expect(page.locator(".selected q")).to_be_visible()


def code_with_mouse(page, found):
    """Code the narrative shown, up to but without submitting it."""
    if isinstance(found, str):
        label = {"none": "None applies", "unclear": "Unclear"}[found]
        page.get_by_role("button", name=label).click()
        return
    for category, (severity, words) in found.items():
        select_with_mouse(page, words)
        page.get_by_role("checkbox", name=category_label(category), exact=True).click()
        group = page.get_by_role("radiogroup", name=f"Severity of {category_label(category)}")
        group.get_by_role("radio", name=str(severity), exact=True).check()


def select_with_keys(page, words):
    if words == SECOND:
        page.keyboard.press("Control+Home")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Home")
        page.keyboard.press("Shift+End")
        return
    page.keyboard.press("Control+Home")
    for _ in range(FIRST.index(words)):
        page.keyboard.press("ArrowRight")
    for _ in words:
        page.keyboard.press("Shift+ArrowRight")


def code_with_keys(page, found):
    if isinstance(found, str):
        page.keyboard.press(found[0])
        return
    for category, (severity, words) in found.items():
        select_with_keys(page, words)
        page.keyboard.press(key_of(category))
        page.keyboard.press(str(severity))


def tab_to(page, description):
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("d => document.activeElement.matches(d)", description):
            return
    pytest.fail(f"Tab does not reach {description}")


def submitted(page, action):
    """Submit by `action` and wait for the next narrative or the end."""
    before = page.locator("main h2").first.inner_text()
    action()
    playwright.expect(page.locator("main h2").first).not_to_have_text(before)


def finished(page):
    return page.get_by_role("heading", name="All narratives are submitted").is_visible()


def submit_by_mouse(page):
    submitted(page, page.get_by_role("button", name="Submit and go on").click)


def submit_by_keys(page):
    submitted(page, lambda: page.keyboard.press("Control+Enter"))


def expected_gold(sample):
    rows = []
    for (incident, found), probability in zip(
        PLAN.items(), sample["inclusion_probability"], strict=True
    ):
        coded = [f for f in found if f != "unclear"]
        for category in CATEGORIES:
            decisions = [f.get(category) if isinstance(f, dict) else None for f in coded]
            severities = {d[0] for d in decisions if d}
            source = "agreed" if len(coded) > 1 else "single"
            present = any(decisions)
            severity = severities.pop() if len(severities) == 1 else None
            if (incident, category) in DECISIONS:
                present, severity, _ = DECISIONS[incident, category]
                source = "adjudicated"
            rows.append((incident, category, present, severity, source, probability))
    names = ["incident_id", "category", "present", "severity", "source", "inclusion_probability"]
    table = pd.DataFrame(rows, columns=names)
    return table.astype({"severity": float})


def test_two_coders_a_killed_server_and_the_gold_table(study, open_page):
    ana, ben = open_page("ana"), open_page("ben")
    playwright.expect(ana.locator("section.reader h2")).to_contain_text("Narrative 1 of 10")
    assert "key" not in ana.url

    # Both work at once, Ana by mouse and Ben by keyboard; Ana skips her second narrative.
    for number in range(3):
        code_with_mouse(ana, PLAN[incident_of(ana)][0])
        if number == 1:
            submitted(ana, ana.get_by_role("button", name="Skip for now").click)
        else:
            submit_by_mouse(ana)
        code_with_keys(ben, PLAN[incident_of(ben)][1])
        if number == 2:
            tab_to(ben, "textarea")
            ben.keyboard.type("Written without a mouse.")
        submit_by_keys(ben)

    # In the middle of Ana's fourth narrative the server is killed.
    here = incident_of(ana)
    select_with_mouse(ana, COFFEE)
    ana.get_by_role("checkbox", name=category_label("dual_social"), exact=True).click()
    expect_status(ana, r"^Saved \d")
    study.kill()
    with CodingStore(study.path) as store:
        kept = store.latest("ana", here).coding.categories
        assert [(c.category, c.spans) for c in kept] == [
            ("dual_social", ((NARRATIVE.index(COFFEE), NARRATIVE.index(COFFEE) + len(COFFEE)),))
        ]
        assert len(store.codings()["incident_id"].unique()) >= 3
    ana.get_by_role("radio", name="2", exact=True).check()
    expect_status(ana, "^Not saved")
    picture(ana, "not-saved")
    study.start()
    expect_status(ana, r"^Saved \d")
    with CodingStore(study.path) as store:
        assert store.latest("ana", here).coding.categories[0].severity == 2

    # The window goes too; her link leads back to where she left.
    ana.close()
    ana = open_page("ana")
    playwright.expect(ana.locator("section.reader h2 .id")).to_have_text(here)
    playwright.expect(ana.locator(".text mark")).to_have_text(COFFEE)
    ana.keyboard.press("Control+z")
    ana.keyboard.press("Control+z")
    playwright.expect(ana.locator(".text mark")).to_have_count(0)

    for _ in range(20):
        if not finished(ana):
            code_with_mouse(ana, PLAN[incident_of(ana)][0])
            if PLAN[incident_of(ana)][0] != "none" and incident_of(ana) == "n00":
                picture(ana, "coding")
            submit_by_mouse(ana)
        if not finished(ben):
            code_with_keys(ben, PLAN[incident_of(ben)][1])
            submit_by_keys(ben)
    assert finished(ana)
    assert finished(ben)
    picture(ben, "finished")

    adjudicate_everything(study, open_page("pi"))
    with CodingStore(study.path) as store:
        assert store.disagreements().empty
        gold = store.gold().sort_values(["incident_id"], kind="stable", ignore_index=True)
        order = {category: index for index, category in enumerate(CATEGORIES)}
        gold = gold.sort_values(
            ["incident_id", "category"],
            key=lambda c: c.map(order) if c.name == "category" else c,
            ignore_index=True,
        )
        pd.testing.assert_frame_equal(gold, expected_gold(study.sample), check_exact=True)
        check_evidence(store)


def adjudicate_everything(study, page):
    for number in range(len(DECISIONS)):
        incident = page.locator("section.reader h2 .id").inner_text()
        card = page.locator("article", has_text="Open")
        playwright.expect(card).to_have_count(1)
        category = card.get_attribute("data-category")
        present, severity, reason = DECISIONS[incident, category]
        playwright.expect(card.locator(".side")).to_have_count(2)
        if number == 1:
            picture(page, "adjudicating")
        card.get_by_role("radio", name="Present" if present else "Absent").check()
        if severity is not None:
            card.get_by_role("radio", name=str(severity), exact=True).check()
        card.get_by_label("Reason").fill(reason)
        card.get_by_role("button", name="Save decision").click()
        playwright.expect(page.locator("article").get_by_text("Decided")).to_have_count(1)
        expect_status(page, r"^Saved \d")
        if number + 1 < len(DECISIONS):
            page.get_by_role("button", name="Next undecided narrative").click()
            playwright.expect(page.locator("section.reader h2 .id")).not_to_have_text(incident)
    playwright.expect(page.get_by_text("Every disagreement is decided.")).to_be_visible()


def check_evidence(store):
    """Every span that a coder selected holds the words that she meant."""
    codings = store.codings()
    assert "Written without a mouse." in set(codings.query("coder_id == 'ben'")["note"])
    spans = codings.dropna(subset="evidence_start")
    found = {
        (row.incident_id, row.coder_id, row.category): NARRATIVE[
            int(row.evidence_start) : int(row.evidence_end)
        ]
        for row in spans.itertuples()
    }
    expected = {
        (incident, coder, category): words
        for incident, plan in PLAN.items()
        for coder, content in zip(("ana", "ben"), plan, strict=True)
        if isinstance(content, dict)
        for category, (_, words) in content.items()
    }
    assert len(spans) == len(expected)
    assert found == expected


def test_overlapping_spans_search_and_undo(study, open_page):
    page = open_page("ana")
    incident = incident_of(page)
    for words in (f"😀 {COFFEE}", "coffee and gave", "😀"):
        select_with_mouse(page, words)
        page.keyboard.press("a")
    select_with_mouse(page, f"watch.\r\n{SECOND[:3]}")
    page.keyboard.press("f")
    expect_status(page, r"^Saved \d")
    with CodingStore(study.path) as store:
        coded = {c.category: c.spans for c in store.latest("ana", incident).coding.categories}
    texts = {category: [NARRATIVE[s:e] for s, e in spans] for category, spans in coded.items()}
    assert texts == {
        CATEGORIES[0]: ["😀", f"😀 {COFFEE}", "coffee and gave"],
        CATEGORIES[5]: [f"watch.\r\n{SECOND[:3]}"],
    }
    assert page.locator(".text").evaluate("e => e.textContent") == NARRATIVE
    # The text cannot be changed, whatever is typed, pasted or dropped.
    page.locator(".text").focus()
    for key in ("Backspace", "Delete", "Enter", "Control+x", "Control+v", "8"):
        page.keyboard.press(key)
    assert page.locator(".text").evaluate("e => e.textContent") == NARRATIVE
    page.get_by_role("button", name=re.compile("^Remove evidence “😀” from")).click()
    playwright.expect(page.locator(".span")).to_have_count(3)
    page.get_by_role("button", name="Undo").click()
    playwright.expect(page.locator(".span")).to_have_count(4)
    # None takes the categories away and says so; Undo brings them back.
    page.get_by_role("button", name="None applies").click()
    playwright.expect(page.get_by_role("alert")).to_contain_text("2 categories taken away")
    playwright.expect(page.locator(".span")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    playwright.expect(page.locator(".span")).to_have_count(4)
    page.keyboard.press("/")
    page.keyboard.type("beneficiary")
    playwright.expect(page.locator(".found")).to_have_text("1 of 14 categories match")
    playwright.expect(page.locator(".category")).to_have_count(1)
    page.keyboard.press("Escape")
    playwright.expect(page.locator(".category")).to_have_count(14)


def test_submitting_asks_for_what_is_missing(open_page):
    page = open_page("ana")
    page.keyboard.press("Control+Enter")
    playwright.expect(page.get_by_role("alert")).to_contain_text("a category, None or Unclear")
    page.keyboard.press("c")
    page.keyboard.press("Control+Enter")
    playwright.expect(page.get_by_role("alert")).to_contain_text("evidence selected in the text")
    playwright.expect(page.locator(".needs")).to_contain_text("a severity")
    # That category has no level 0.
    page.keyboard.press("0")
    playwright.expect(page.locator(".level input")).to_have_count(2)
    assert page.locator(".level input:checked").count() == 0


def test_a_second_window_is_noticed(open_page):
    one, two = open_page("ana"), open_page("ana")
    code_with_keys(two, {"dual_social": (1, COFFEE)})
    expect_status(two, r"^Saved \d")
    one.keyboard.press("n")
    playwright.expect(one.get_by_role("alert")).to_contain_text("changed in another window")
    playwright.expect(one.locator(".text mark")).to_have_text(COFFEE)


def test_wrong_links(study, open_page):
    study.links["eve"] = f"http://127.0.0.1:{study.port}/#key=wrong"
    page = open_page("eve")
    playwright.expect(page.get_by_role("heading")).to_have_text("This link does not work")


def test_assisted_phase_is_shown(study, open_page):
    page = open_page("ana")
    playwright.expect(page.locator(".phase")).to_have_text("Blind")
    assert page.locator(".model").count() == 0
    with CodingStore(study.path) as store:
        rows = [(incident, "gifts_favours", 0.83) for incident in PLAN]
        store.set_phase(
            "assisted", pd.DataFrame(rows, columns=["incident_id", "category", "probability"])
        )
    # What is on the screen stays as it was; the next narrative comes with suggestions.
    page.get_by_role("button", name="Next").click()
    playwright.expect(page.locator(".phase")).to_have_text("Assisted")
    playwright.expect(page.locator(".model")).to_have_text("model 83%")
    page.keyboard.press("n")
    submit_by_keys(page)
    with CodingStore(study.path) as store:
        assert set(store.codings()["phase"]) == {"assisted"}


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (360, 640)])
def test_it_fits_small_screens_and_zoom(open_page, size):
    # A screen of 1280 by 720 at 200% is 640 by 360 CSS pixels.
    page = open_page("ana", viewport={"width": size[0], "height": size[1]})
    code_with_keys(page, {"dual_social": (2, COFFEE), "gifts_favours": (1, WATCH)})
    expect_status(page, r"^Saved \d")
    width, height = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert width <= size[0]
    if size[0] == 1280:
        assert height <= size[1]
    playwright.expect(page.get_by_role("button", name="Submit and go on")).to_be_in_viewport()
    page.get_by_role("button", name=f"Codebook entry: {category_label('gifts_favours')}").click()
    playwright.expect(page.locator("section.guide h3.entry")).to_be_in_viewport()
    picture(page, f"size-{size[0]}")


@needs_axe
def test_axe_finds_no_violation(study, open_page):
    script = Path(AXE).read_text("utf-8")

    def check(page, what):
        page.evaluate(script)
        result = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
        found = [(v["id"], [n["target"] for n in v["nodes"]]) for v in result["violations"]]
        assert found == [], what
        assert len(result["passes"]) > 15

    page = open_page("ana")
    page.locator(".text").wait_for()
    check(page, "a narrative")
    code_with_keys(page, {"dual_social": (2, COFFEE), "conflict_of_interest": (1, SECOND)})
    page.keyboard.press("c")
    page.keyboard.press("Control+Enter")
    playwright.expect(page.get_by_role("alert")).to_contain_text("Still needed")
    select_with_keys(page, WATCH)
    check(page, "a coded narrative with an alert")
    page.get_by_role("button", name="Rules").click()
    check(page, "the rules")
    page.set_viewport_size({"width": 640, "height": 360})
    check(page, "zoomed to 200%")
    page.get_by_role("button", name="Help", exact=True).click()
    check(page, "help")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Narratives").click()
    check(page, "list of narratives")
    with CodingStore(study.path) as store:
        for coder, position in (("ana", 0), ("ben", 1)):
            for incident, plan in PLAN.items():
                found = plan[position]
                content = {"verdict": found} if isinstance(found, str) else {
                    "categories": {
                        category: {"severity": severity, "spans": [[NARRATIVE.index(w), NARRATIVE.index(w) + len(w)]]}
                        for category, (severity, w) in found.items()
                    }
                }  # fmt: skip
                latest = store.latest(coder, incident).revision_id
                store.save(coder, incident, content, state="submitted", expected=latest)
    finish = open_page("ana")
    finish.get_by_role("heading", name="All narratives are submitted").wait_for()
    check(finish, "the end")
    judge = open_page("pi")
    judge.locator("article").first.wait_for()
    judge.get_by_role("radio", name="Present").first.check()
    check(judge, "adjudication")


def test_offsets_are_code_points_for_any_text(open_page):
    texts = [
        "",
        "plain",
        "é\r\n😀a",
        "👩‍👩‍👧 x\r\n\r\n",
        "𝒳𝒴\u200d\ufeff",
        "\t\u2028a😀😀",
        "e\u0301🇫🇷\r",
    ]
    maps = open_page("ana").evaluate(
        """async texts => {
          const { offsetMaps } = await import('/static/narrative-text.js');
          return texts.map(t => { const m = offsetMaps(t); return [m.toUnit, [...m.toPoint]]; });
        }""",
        texts,
    )
    for text, (to_unit, to_point) in zip(texts, maps, strict=True):
        units = [len(text[:k].encode("utf-16-le")) // 2 for k in range(len(text) + 1)]
        assert to_unit == units
        assert [to_point[unit] for unit in units] == list(range(len(text) + 1))


# A notebook's model that passes messages on to the server, as a kernel would answer them.
FAKE_MODEL = """async key => {
  const { default: widget } = await import('/static/joined.js');
  let listen = null;
  const model = {
    on: (event, listener) => { listen = listener; },
    send: async ({ id, method, path, body }) => {
      const answer = await fetch(`/api/${path}`, {
        method, headers: { Authorization: `Bearer ${key}` },
        body: method === 'GET' ? undefined : JSON.stringify(body),
      });
      listen({ id, status: answer.status, content: await answer.json() });
    },
  };
  const cell = document.createElement('div');
  cell.addEventListener('keydown', () => { document.body.dataset.leaked = 'yes'; });
  document.body.replaceChildren(cell);
  await widget.render({ model, el: cell });
}"""


def test_the_same_page_in_a_notebook_cell(study, open_page):
    study.links["nobody"] = f"http://127.0.0.1:{study.port}/#key=none"
    page = open_page("nobody")
    page.route(
        "**/joined.js",
        lambda route: route.fulfill(body=join_modules(), content_type="text/javascript"),
    )
    page.evaluate(FAKE_MODEL, study.links["ana"].partition("#key=")[2])
    playwright.expect(page.locator(".br-in-notebook .text")).to_be_focused()
    incident = incident_of(page)
    code_with_keys(page, {"dual_social": (1, COFFEE)})
    expect_status(page, r"^Saved \d")
    # The notebook's own shortcuts do not see what is typed in the page.
    assert page.evaluate("document.body.dataset.leaked") is None
    with CodingStore(study.path) as store:
        assert store.latest("ana", incident).coding.categories[0].severity == 1
