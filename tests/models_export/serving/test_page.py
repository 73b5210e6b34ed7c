"""The page at /, in a real browser, on a real colorizer."""

import base64
import hashlib
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from servers import served
from skimage.color import rgb2lab

from models_export.client import ServingClient
from models_export.export import export_run
from models_export.serving import page as page_package

FOLDER = Path(page_package.__file__).parent
# Playwright's own 5 seconds are few on a busy machine.
expect.set_options(timeout=60_000)
# As Playwright makes a file for the page to take.
File = dict[str, str | bytes]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server of the colorizer that ships."""
    base = export_run(None, tmp_path_factory.mktemp("base")).parent
    with served(base, "--max_image_pixels", "1000000", "--enable_batching") as (client, _):
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a screen."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, client: httpx.Client) -> Iterator[Page]:
    """The page, ready to take photos; nothing may go wrong on it, nor leave this machine."""
    context = browser.new_context(locale="en-GB", viewport={"width": 900, "height": 800})
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(str(client.base_url))
    expect(page.locator("#files")).to_be_enabled()
    yield page
    context.close()
    # Chromium notes every request that fails: a refused photo, a server that is gone.
    assert [text for text in complaints if "Failed to load resource" not in text] == []
    own = (str(client.base_url), f"blob:{client.base_url}")
    assert [url for url in asked if not url.startswith(own)] == []


@pytest.fixture(scope="module")
def photo(sample_photos: Path) -> bytes:
    """A colour photo that the colorizer makes colourful too."""
    return (sample_photos / "train" / "clothing_dress_056b8f3777.jpg").read_bytes()


def file(name: str, content: bytes, kind: str = "image/jpeg") -> File:
    return {"name": name, "mimeType": kind, "buffer": content}


def card(page: Page, name: str) -> Locator:
    return page.locator("article", has=page.get_by_role("heading", name=name, exact=True))


def coloured(page: Page, content: bytes, name: str = "old.jpg") -> Locator:
    """Gives a photo to the page; its card, once it is done."""
    page.set_input_files("#files", file(name, content))
    return finished(card(page, name))


def finished(shown: Locator) -> Locator:
    expect(shown.locator(".state")).to_have_text(re.compile(r"Done in \d+\.\d s"))
    expect(shown.locator("img-comparison-slider")).to_have_class(re.compile("rendered"))
    return shown


def downloaded(shown: Locator) -> tuple[str, bytes]:
    with shown.page.expect_download() as waiting:
        shown.get_by_role("button", name="Download").click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def texts(content: bytes) -> dict[str, str]:
    with Image.open(io.BytesIO(content)) as image:
        return {key: str(image.info[key]) for key in ("Software", "Comment", "xmp")}


def chroma(rgb: np.ndarray) -> float:
    return float(np.linalg.norm(rgb2lab(rgb)[..., 1:], axis=-1).mean())


def slide(slider: Locator, value: float) -> None:
    slider.evaluate("(range, value) => { range.value = value }", str(value))
    slider.dispatch_event("input")


def test_a_dropped_photo_is_seen_in_gray_and_in_colour(page, photo):
    drop = """(content) => {
        const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "old.jpg", { type: "image/jpeg" }));
        return transfer;
    }"""
    transfer = page.evaluate_handle(drop, base64.b64encode(photo).decode())
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_have_class("over")
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_have_class("")
    shown = finished(card(page, "old.jpg"))
    seen = pixels(shown.locator("img-comparison-slider").screenshot())
    middle = seen.shape[1] // 2
    assert chroma(seen[:, : middle - 30]) < 0.5
    assert chroma(seen[:, middle + 30 :]) > 5
    paste = """(transfer) =>
        document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer }))"""
    page.evaluate(paste, transfer)
    expect(page.locator("article")).to_have_count(2)
    expect(page.locator("#overall-text")).to_have_text("2 of 2 photos done, 0 failed")


def test_the_download_is_what_the_server_has_made(page, photo, client):
    name, content = downloaded(coloured(page, photo, "my.old photo.jpeg"))
    assert name == "my.old photo_colorized.png"
    assert content == ServingClient(str(client.base_url)).colorize(photo)


def test_saturation_is_seen_and_downloaded_and_keeps_the_lightness(page, photo):
    shown = coloured(page, photo)
    _, plain = downloaded(shown)
    assert "invented" in texts(plain)["Comment"]
    right = shown.locator("[slot=second]")
    for value, factor in ((1.5, 1.5), (0.5, 0.5), (0, 0)):
        slide(shown.locator(".saturation"), value)
        expect(shown.locator("output")).to_have_text(f"{100 * value:.0f}%")
        _, changed = downloaded(shown)
        before, after = rgb2lab(pixels(plain)), rgb2lab(pixels(changed))
        inside = (pixels(changed) > 2).all(axis=-1) & (pixels(changed) < 253).all(axis=-1)
        assert np.abs(after - before)[inside][:, 0].max() < 1
        assert texts(changed) == texts(plain)
        ratio = chroma(pixels(changed)) / chroma(pixels(plain))
        assert ratio == pytest.approx(factor, abs=0.25), value
        # What the filter shows is what the file holds.
        shown.locator("img-comparison-slider").evaluate("(slider) => { slider.value = 0 }")
        seen = pixels(right.screenshot())
        held = pixels(changed)
        if seen.shape == held.shape:
            assert np.abs(seen.astype(int) - held).mean() < 2
        else:
            assert chroma(seen) == pytest.approx(chroma(held), rel=0.1, abs=0.5)


def test_points_of_colour_bend_the_colours_and_go_again(page, photo):
    shown = coloured(page, photo)
    _, plain = downloaded(shown)
    shown.get_by_text("Say what colour something has").click()
    board = shown.get_by_role("application", name="old.jpg: points of colour")
    shown.locator(".next").fill("#2020c0")
    size = board.bounding_box()
    assert size is not None
    board.click(position={"x": size["width"] / 2, "y": size["height"] * 0.6})
    board.click(position={"x": 5, "y": 5})
    expect(shown.locator("li")).to_have_text(["50% × 60% Remove", re.compile(r"\d% × \d% Remove")])
    shown.get_by_role("button", name="Remove point 2").click()
    expect(shown.locator("li")).to_have_count(1)
    expect(shown.locator(".marker")).to_have_text(["1"])
    expect(board).to_be_focused()
    hinted = again(shown)
    before, after = (rgb2lab(pixels(content)) for content in (plain, hinted))
    middle = int(0.6 * after.shape[0]), after.shape[1] // 2
    wished = rgb2lab(np.array([[[0x20, 0x20, 0xC0]]], np.uint8))[0, 0, 1:]
    # As far as sRGB has that colour at the photo's own lightness: it comes much nearer.
    missed = [np.linalg.norm(lab[middle][1:] - wished) for lab in (before, after)]
    assert missed[1] < 0.5 * missed[0]
    assert np.abs(after[5, 5] - before[5, 5]).max() < 8
    shown.get_by_role("button", name="Remove point 1").click()
    assert again(shown) == plain


def again(shown: Locator) -> bytes:
    """Has a photo coloured anew and downloads it."""
    with shown.page.expect_response("**/*:predict"):
        shown.get_by_role("button", name="Colour again").click()
    return downloaded(finished(shown))[1]


def test_points_are_put_with_the_keyboard(page, photo):
    shown = coloured(page, photo)
    shown.get_by_text("Say what colour something has").focus()
    page.keyboard.press("Enter")
    board = shown.get_by_role("application")
    for _ in range(2):
        page.keyboard.press("Tab")
    expect(board).to_be_focused()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(shown.locator("li")).to_have_text(["46% × 52% Remove"])
    expect(shown.locator(".said")).to_have_text("Point 1 is there")
    colour = shown.get_by_label("Colour of point 1")
    colour.fill("#ff0000")
    expect(shown.locator(".marker")).to_have_css("background-color", "rgb(255, 0, 0)")
    with page.expect_request("**/*:predict") as asked:
        shown.get_by_role("button", name="Colour again").press("Enter")
    assert asked.value.post_data_json["signature_name"] == "colorize_hinted"
    (instance,) = asked.value.post_data_json["instances"]
    assert instance["hints"] == [[pytest.approx(0.46), pytest.approx(0.52), 255, 0, 0]]
    finished(shown)


def test_a_model_of_before_takes_no_hints(page, photo):
    def answer(route):
        metadata = route.fetch().json()
        del metadata["metadata"]["signature_def"]["signature_def"]["colorize_hinted"]
        route.fulfill(json=metadata)

    page.route("**/metadata", answer)
    expect(coloured(page, photo).locator(".hints")).to_be_hidden()


def test_a_bad_file_gets_a_clear_error_and_the_others_go_on(page, photo):
    huge = io.BytesIO()
    Image.new("L", (1001, 1000)).save(huge, "PNG")
    files = [
        file("notes.txt", b"no photo", "text/plain"),
        file("cut.jpg", photo[:2000]),
        file("huge.png", huge.getvalue(), "image/png"),
        file("good.jpg", photo),
    ]
    page.set_input_files("#files", files)
    overall = page.locator("#overall-text")
    expect(overall).to_have_text("1 of 4 photos done, 3 failed")
    for name, reason in (
        ("notes.txt", "is not an image"),
        ("cut.jpg", "is damaged or cut off"),
        ("huge.png", "the limit is 1000000"),
    ):
        error = card(page, name).get_by_role("alert")
        expect(error).to_contain_text("This is not a photo that can be coloured.")
        expect(error).to_contain_text(reason)
        expect(card(page, name).locator(".result")).to_be_hidden()
    card(page, "cut.jpg").get_by_role("button", name="Remove: cut.jpg").click()
    expect(overall).to_have_text("1 of 3 photos done, 2 failed")


def test_a_server_that_is_gone_is_told(page, photo):
    page.route("**/*:predict", lambda route: route.abort())
    page.set_input_files("#files", file("old.jpg", photo))
    error = card(page, "old.jpg").get_by_role("alert")
    expect(error).to_contain_text("The server does not answer.")


@pytest.mark.parametrize(
    ("status", "told"),
    [(503, "The server is busy. Try again in a moment."), (429, "This photo is too large")],
)
def test_a_refusal_is_told(page, photo, status, told):
    body = '{"error": "in words"}'
    page.route("**/*:predict", lambda route: route.fulfill(status=status, body=body))
    page.set_input_files("#files", file("old.jpg", photo))
    error = card(page, "old.jpg").get_by_role("alert")
    expect(error).to_contain_text(told)
    expect(error).to_contain_text("The server says: in words")


def test_all_is_done_with_the_keyboard(page, photo):
    shown = coloured(page, photo)
    slider = shown.get_by_role("slider", name="old.jpg: how much")
    slider.focus()
    for _ in range(5):
        page.keyboard.down("ArrowRight")
    page.wait_for_timeout(300)
    page.keyboard.up("ArrowRight")
    assert float(slider.get_attribute("aria-valuenow") or 0) > 50
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"\d+% black and white"))
    page.keyboard.press("Tab")
    expect(shown.locator(".saturation")).to_be_focused()
    page.keyboard.press("Home")
    expect(shown.locator("output")).to_have_text("0%")
    page.keyboard.press("Tab")
    with page.expect_download():
        page.keyboard.press("Enter")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(page, photo, scheme):
    page.emulate_media(color_scheme=scheme)
    shown = coloured(page, photo)
    shown.locator("summary").click()
    shown.locator(".board").click()
    page.set_input_files("#files", file("notes.txt", b"no photo"))
    expect(card(page, "notes.txt").get_by_role("alert")).to_be_visible()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_the_page_fits_a_phone(page, photo):
    page.set_viewport_size({"width": 320, "height": 640})
    shown = coloured(page, photo, "a_very_long_name_of_a_photo_" * 4 + ".jpg")
    shown.locator("summary").click()
    shown.locator(".board").click()
    wide = "() => document.documentElement.scrollWidth"
    assert page.evaluate(wide) == 320
    box = shown.locator("img-comparison-slider").bounding_box()
    assert box is not None and box["width"] <= 320
    for button in page.locator("button").all():
        size = button.bounding_box()
        assert size is not None and size["height"] >= 44


def test_it_speaks_vietnamese_and_remembers_it(page, photo):
    shown = coloured(page, photo)
    page.get_by_role("button", name="Tiếng Việt").click()
    expect(page.locator("html")).to_have_attribute("lang", "vi")
    expect(page).to_have_title("Tô màu ảnh đen trắng của bạn")
    expect(shown.locator(".state")).to_have_text(re.compile(r"Xong sau \d+,\d giây"))
    expect(page.locator("#overall-text")).to_have_text("Xong 1 trên 1 ảnh, 0 ảnh lỗi")
    page.reload()
    expect(page.locator("h1")).to_have_text("Tô màu ảnh đen trắng của bạn")
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("Colour your black-and-white photos")


def test_the_browsers_language_is_the_first_one(browser, client):
    context = browser.new_context(locale="vi-VN")
    page = context.new_page()
    page.goto(str(client.base_url))
    expect(page.locator("html")).to_have_attribute("lang", "vi")
    context.close()


def test_both_languages_say_the_same():
    languages = re.split(r"^  (?:en|vi): \{$", (FOLDER / "texts.js").read_text(), flags=re.M)[1:]
    languages[1] = languages[1].partition("\n};")[0]
    keys = [re.findall(r"^    (\w+):", part, flags=re.M) for part in languages]
    assert len(keys) == 2 and keys[0] == keys[1] and len(keys[0]) > 20
    for name in ("texts.js", "card.js", "hints.js", "page.js", "server.js", "index.html"):
        used = re.findall(
            r'(?:text\(|data-text=|data-label=|ColorizeError\()"(\w+)"', (FOLDER / name).read_text()
        )
        assert set(used) <= set(keys[0])


def test_what_the_page_asks_for_is_there_and_nothing_else(client):
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    links = re.findall(r'(?:src|href)="(page/[^"]+)"', answer.text)
    assert len(links) == 4
    for link in links:
        assert client.get(f"/{link}").status_code == 200
    assert client.get("/page/models.json").json() == {"models": ["colorizer"]}
    for path in ("/page/", "/page/__init__.py", "/page/../app.py", "/page/%2e%2e/app.py", "/x"):
        assert client.get(path).status_code == 404


def test_the_component_is_as_its_package_has_it():
    content = (FOLDER / "vendor" / "img-comparison-slider.js").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert digest == "6e01335000bbafdd053f851db4e0025dc3e0fadd677deca51548d6fe95b42162"
