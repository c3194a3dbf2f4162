"""A headless Chromium, and the chat page in it as a reader uses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)


DESKTOP = (1280, 800)
FEED = (Path(__file__).parent / "chat_feed.js").read_text()
WAIT_S = 30


class RunningServer(Protocol):
    """What the tests use of the server's fixture."""

    @property
    def url(self) -> str: ...


class ChatPage:
    """The page as a reader uses it."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def load(self, path: str = "/", *, size: tuple[int, int] = DESKTOP) -> None:
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1}
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {**metrics, "mobile": size[0] < 640}
        )
        self.driver.get(self.url + path)
        self.until(lambda: self.all("#welcome h1"))

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def until(self, condition: Callable[[], object]) -> None:
        WebDriverWait(self.driver, WAIT_S, poll_frequency=0.05).until(lambda _: condition())

    def run(self, script: str, *arguments: object) -> object:
        return self.driver.execute_script(script, *arguments)

    def ask(self, question: str) -> None:
        self.one("#question").send_keys(question + Keys.ENTER)

    def ask_and_wait(self, question: str) -> None:
        before = len(self.all(".answer[data-state='done']"))
        self.ask(question)
        self.until(lambda: len(self.all(".answer[data-state='done']")) > before)

    def answer_text(self) -> str:
        return self.all(".answer [data-part='text']")[-1].text

    def feed(self, *, status: int = 200, body: str | None = None) -> None:
        """Answer the next question from the test: with this body, or with what is pushed."""
        self.run(FEED, status, body)

    def push(self, data: bytes) -> None:
        self.run("window.feed.push(arguments[0])", list(data))

    def requests(self) -> list[dict[str, dict[str, object]]]:
        found: list[dict[str, dict[str, object]]] = json.loads(
            str(self.run("return JSON.stringify(window.feed.requests)"))
        )
        return found

    def fits_its_width(self) -> bool:
        return bool(
            self.run(
                "return [document.documentElement, document.body, ...document.querySelectorAll("
                "'.scroller, dialog[open], dialog[open] .panel-body')]"
                ".every((box) => box.scrollWidth <= Math.min(box.clientWidth, innerWidth))"
            )
        )

    def open_first_source(self) -> None:
        self.all(".answer button.marker")[0].click()
        self.until(lambda: self.all("#source-text mark"))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser with a fresh profile; a test that loads the page starts from an empty one."""
    missing = [str(path) for path in (CHROMIUM, DRIVER) if not path.exists()]
    if missing:
        pytest.skip(f"{' and '.join(missing)} missing: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def page(chromium: webdriver.Chrome, running_server: RunningServer) -> ChatPage:
    page = ChatPage(chromium, running_server.url)
    page.load()
    page.run("sessionStorage.clear()")
    return page
