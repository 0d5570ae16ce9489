"""What a page must be for everybody to use it: WCAG 2.2 AA as axe-core checks it."""

from pathlib import Path
from typing import Any

from selenium import webdriver

_AXE = Path(__file__).with_name("axe") / "axe.min.js"
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_ASK = """
    const [tags, done] = arguments;
    axe.run(document, {runOnly: tags}).then(
      found => done(found.violations.flatMap(
        rule => rule.nodes.map(node => [rule.id, node.target.join(" "), node.failureSummary]))));
"""


def broken_rules(browser: webdriver.Chrome) -> list[Any]:
    """What on the page breaks which rule."""
    browser.execute_script(_AXE.read_text())
    found: list[Any] = browser.execute_async_script(_ASK, _RULES)
    return found
