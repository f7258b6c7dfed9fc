"""The pages in a real browser, offline: nothing is asked for, nothing overflows, every picture is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfumato.diagnostics import Finding
from sfumato.report import write_report
from sfumato.report.figures.style import figure, save
from sfumato.studies import compare

LONG = "a name without a single space that is much longer than any screen of a telephone".replace(" ", "_")


@pytest.fixture(scope="module")
def report(plane_run, plane_pictures) -> Path:
    """A report with a verdict of each severity, and words that are longer than a line."""
    findings = [
        Finding("posterior_collapse", "serious", f"No latent is used, of {LONG}.", command=f"sfumato fit {LONG}"),
        Finding("too_short", "minor", "Training was too short."),
        Finding("healthy", "healthy", "Looks well."),
    ]
    return write_report(plane_run.run_, plane_pictures, plane_run.evaluate(quick=True), findings, complete=False)


@pytest.fixture(scope="module")
def comparison(fitted, tmp_path_factory) -> Path:
    """A comparison of more configurations than fit beside each other on a screen."""
    from sfumato.report import write_comparison

    folder = tmp_path_factory.mktemp("compared")
    np.save(folder / f"{LONG}.npy", np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32))
    for place in range(5):
        fitted(folder / f"{LONG}.npy", folder, f"{LONG}-{place}", model="beta_vae", beta=place + 1)
    found = compare([str(folder / f"{LONG}-{place}") for place in range(5)])
    return write_comparison(found, folder / "compare.html")


@pytest.mark.parametrize("page", ["report", "comparison"])
def test_pages_are_whole_on_a_phone_and_on_a_screen_in_the_light_and_in_the_dark(page, browser, request):
    path: Path = request.getfixturevalue(page)
    assert path.stat().st_size < 5_000_000
    shown = {}
    for width, schemes in ((360, ("light", "dark")), (1280, ("light",))):
        for scheme in schemes:
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
            sheet = context.new_page()
            complaints: list[str] = []
            asked: list[str] = []
            sheet.on("console", lambda message, into=complaints: into.append(message.text))
            sheet.on("pageerror", lambda error, into=complaints: into.append(str(error)))
            sheet.on("request", lambda asking, into=asked: into.append(asking.url))
            sheet.goto(path.as_uri())
            assert not complaints
            assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
            sheet.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert sheet.evaluate("document.documentElement.scrollWidth") == width
            pictures = sheet.evaluate(
                "[...document.images].map(one => [one.alt, one.naturalWidth, one.getBoundingClientRect().width])"
            )
            assert pictures
            assert all(alt and natural > 0 and drawn > 0 for alt, natural, drawn in pictures)
            shown[width, scheme] = (
                sheet.evaluate("getComputedStyle(document.body).backgroundColor"),
                sheet.evaluate("document.images[0].currentSrc.length"),
            )
            context.close()
    assert shown[360, "light"] == shown[1280, "light"]
    assert shown[360, "light"] != shown[360, "dark"]


def test_a_sheet_as_wide_as_it_is_high_is_swiped_on_a_phone_and_not_shrunk(browser, picture_run, tmp_path):
    def sheet_of(width, height):
        words = {"title": "t", "alt": "an empty sheet", "caption": "c"}
        return save(tmp_path, f"{width}-{height}", lambda look: figure(width, height, look), **words)

    found = [sheet_of(9, height) for height in (3, 7, 12)]
    small = sheet_of(3.3, 3.3)
    context = browser.new_context(viewport={"width": 390, "height": 800})
    sheet = context.new_page()
    sheet.goto(write_report(picture_run.run_, [*found, small]).as_uri())
    widths = sheet.evaluate("[...document.images].map(one => one.getBoundingClientRect().width)")
    assert widths[:3] == [640, 640, 640]
    assert widths[3] <= 360
    swiped = "[...document.querySelectorAll('.view')].map(one => one.scrollWidth > one.clientWidth)"
    assert sheet.evaluate(swiped) == [True, True, True, False]
    assert sheet.locator(".swipe:visible").count() == 3
    assert sheet.evaluate("document.documentElement.scrollWidth") == 390
    context.close()


def test_the_verdict_is_told_first(report, browser):
    sheet = browser.new_page()
    sheet.goto(report.as_uri())
    assert sheet.locator("h2").first.inner_text() == "Diagnosis"
    assert sheet.locator(".finding").count() == 3
    colours = [sheet.locator(".severity").nth(i).evaluate("one => getComputedStyle(one).color") for i in range(3)]
    assert len(set(colours)) == 3
    sheet.close()
