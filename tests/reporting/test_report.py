"""report.html in a real browser: complete without a network, nothing of a user's is interpreted, usable by keyboard."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from mpibatch.reporting.analysis import analyse
from mpibatch.reporting.charts import charts
from mpibatch.reporting.report import report
from mpibatch.runs.directory import RunDirectory
from mpibatch.runs.measurements import Measurements
from tests.reporting.run_directories import make_run, summary

CHARTS = {"throughput", "timeline", "run-times", "cpu", "memory", "gpu", "gpu-memory"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium. Skips without one."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


class OpenReport:
    """A report that is open, and all that went wrong with it."""

    def __init__(self, page: Page, directory: RunDirectory) -> None:
        self.page = page
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("dialog", lambda dialog: self.problems.append(f"dialog {dialog.message}"))
        page.goto(directory.report.as_uri())

    def check(self, loads: int = 1) -> None:
        assert not self.problems
        own = [url for url in self.requests if not url.startswith("data:")]
        assert len(own) == loads, own
        assert all(url.startswith("file:") for url in own)


def written(directory: RunDirectory) -> RunDirectory:
    report(directory, directory.report)
    return directory


@pytest.mark.processes
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_a_report_opens_offline_with_all_its_charts(browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    """No console message, no request, all charts drawn, and nothing wider than the window."""
    directory = written(make_run(tmp_path / "run"))
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    opened = OpenReport(context.new_page(), directory)
    drawn = opened.page.evaluate(
        "[...document.querySelectorAll('.chart')].filter(c => c.querySelector('svg')).map(c => c.id)"
    )
    assert set(drawn) == CHARTS
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    opened.check()
    context.close()


@pytest.mark.processes
def test_nothing_of_a_users_is_interpreted(browser: Browser, tmp_path: Path) -> None:
    """Names, errors and tracebacks with HTML, template marks and control characters are shown as text."""
    opened = OpenReport(browser.new_page(), written(make_run(tmp_path / "run")))
    opened.page.locator("details").first.locator("summary").click()
    shown = opened.page.locator("details").first.inner_text()
    assert '<script>alert("x")</script>\\x1b[31m\\x07</pre>\\u202e{{ 7*7 }}' in shown
    assert opened.page.locator("script").count() == 3
    opened.check()


@pytest.mark.processes
def test_all_that_opens_is_reached_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    """Tab comes to each summary, Enter opens it, and what is open stays open when the page is loaded again."""
    opened = OpenReport(browser.new_page(), written(make_run(tmp_path / "run")))
    page = opened.page
    count = page.locator("details").count()
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName === 'SUMMARY' && !document.activeElement.parentElement.open"):
            page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == count
    page.reload()
    assert page.locator("details[open]").count() == count
    opened.check(loads=2)


@pytest.mark.processes
def test_a_running_report_changes_and_loads_itself_again(browser: Browser, tmp_path: Path) -> None:
    """The page of a run that goes on asks for the next one by itself; at the end it stops doing so."""
    directory = written(make_run(tmp_path / "run", status="running", failed=0))
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    opened = OpenReport(page, directory)
    assert page.locator(".state").inner_text() == "running"
    summary(directory, "completed", 200, failed=0)
    written(directory)
    page.clock.fast_forward(31_000)
    page.wait_for_function("document.querySelector('.state').textContent === 'completed'")
    assert page.evaluate("document.body.dataset.reload") == "0"
    opened.check(loads=2)
    context.close()


@pytest.mark.processes
@pytest.mark.ci
def test_a_million_mini_batches_are_a_small_page(browser: Browser, tmp_path: Path) -> None:
    """Under 5 MB, with more executors than lanes."""
    directory = written(make_run(tmp_path / "run", mini_batches=1_000_000, ranks=100, failed=0))
    assert directory.report.stat().st_size < 5_000_000
    opened = OpenReport(browser.new_page(), directory)
    assert opened.page.locator("#timeline svg").count() == 1
    opened.check()


def test_a_steady_run_is_drawn_steady(tmp_path: Path) -> None:
    """Bins shorter than mini-batches showed spikes and nothing between them."""
    analysis = analyse(Measurements.read(make_run(tmp_path / "run", failed=0)), None)
    assert analysis is not None
    (throughput,) = [chart for chart in charts(analysis) if chart.id == "throughput"]
    rates = [rate for second, rate in throughput.option["series"][0]["data"] if 1.2 < second < 2.1]  # after init()
    assert len(rates) > 5
    assert max(rates) < 2 * min(rates)


def test_parts_that_are_missing_leave_a_report(tmp_path: Path) -> None:
    """A run that was killed early, or whose files were copied in part, has a report of what is there."""
    directory = make_run(tmp_path / "run")
    for path in (directory.events, directory.executors, directory.failed_items, directory.summary):
        path.unlink()
    shutil.rmtree(directory.resources)
    written(directory)
    page = directory.report.read_text()
    assert "Throughput" not in page
    assert "made" in page
