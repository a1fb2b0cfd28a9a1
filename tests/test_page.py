"""The page in a browser: every view in both languages, light and dark, with nothing asked of any other machine.

Skipped where Playwright or a Chromium is missing: `pip install playwright`, and Debian's package `chromium`.
"""

import re
import shutil
import threading
import time

import pytest
import torch

from minillm import lora
from minillm.assistant import Assistant
from minillm.chat import Message, encode_dialogue
from minillm.gpt_config import GPTConfig
from minillm.measure import inside
from minillm.run_folder import Run

playwright = pytest.importorskip("playwright.sync_api")
uvicorn = pytest.importorskip("uvicorn")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no chromium is installed")]

HTML = "<img src=x onerror=alert(1)><b>bold</b>"
DOCUMENTS = ["The capital of France is Paris.", f"巴黎 Paris {HTML} Paris", "Tokyo."]
TALK, SENTENCE = "How are you?\nParis", "The capital of France is"
VIEWS = ("chat", "loss", "mask", "attention", "cache", "lens", "lora", "text")


@pytest.fixture(scope="module")
def models(make_gpt, tokenizer) -> dict[str, Assistant]:
    config = GPTConfig(n_vocab=tokenizer.n_vocab, n_ctx=96, n_layer=2, n_head=2, n_embd=16)
    found = {
        name: Assistant(Run(make_gpt(config, seed=i), tokenizer)) for i, name in enumerate(("base", "sft", "lora"))
    }
    lora.inject(found["lora"].gpt, lora.LoRAConfig(rank=2))
    for adapter in lora.adapters(found["lora"].gpt).values():
        torch.nn.init.normal_(adapter.B)
    return found


def serve(app):
    """The address of the app, served by a thread until the generator is closed."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    end = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def address(models):
    from minillm.serve.api import make_app

    yield from serve(make_app(models, documents=DOCUMENTS))


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """Opens an address in a new window; in the end nothing was said on the console and no other machine was asked."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def visit(where: str = "", at: str = address, **options):
        context = browser.new_context(**{"locale": "en-US"} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(at + "/" + where)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert said == []
    assert asked and all(re.match(r"http://127\.0\.0\.1:\d+/|data:,", url) for url in asked), asked


def texts(page, selector: str) -> list[str]:
    return page.locator(selector).all_text_contents()


def same(token: str) -> str:
    """A token as the page shows it."""
    return {" ": "␣"}.get(token, token.replace("\n", "⏎"))


def learned(text: str, tokenizer) -> tuple[list[int], list[str]]:
    question, answer = text.split("\n")
    dialogue = encode_dialogue([Message("user", question), Message("assistant", answer)], tokenizer)
    names = [tokenizer.decode([i], special=True) if i in tokenizer.hidden else same(tokenizer.tokens([i])[0])
             for i in dialogue.ids]  # fmt: skip
    return dialogue.ids, names


# ------------------------------------------------------------------------------------------- each view, everywhere


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_in_both_languages_light_and_dark(visit, view, scheme, language):
    locale = "zh-CN" if language == "zh" else "en-US"
    page = visit(f"#{view}", color_scheme=scheme, locale=locale, viewport={"width": 390, "height": 800})
    page.wait_for_selector("#chats section" if view == "chat" else "#shown section p, #shown section table")
    assert page.evaluate("document.documentElement.lang") == language
    chinese = re.compile("[\u4e00-\u9fff]")
    words = [*texts(page, "nav a"), *texts(page, "#hint"), *texts(page, "#lesson"), *texts(page, "#code"),
             *texts(page, "form label span[data-word]"), *texts(page, "#send")]  # fmt: skip
    assert len(words) > 12 and all(bool(chinese.search(w)) == (language == "zh") for w in words if "LoRA" not in w)
    assert page.locator("nav a[aria-current]").get_attribute("data-view") == view
    assert page.evaluate("document.documentElement.scrollWidth") <= 390  # only tables scroll, each by itself
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert ink == ("rgb(255, 255, 255)" if scheme == "dark" else "rgb(0, 0, 0)")
    assert page.request.get(page.locator("#lesson").evaluate("a => a.href")).ok
    code = page.request.get(page.locator("#code").evaluate("a => a.href")).text()
    assert re.match(r"# minillm/\w+/?\w+\.py, line \d+\n\n(def|class|@)", code)


# -------------------------------------------------------------------------------------------------- what they show


def open_view(visit, view: str, text: str, turns: bool = False, models: str = "base", **options):
    from urllib.parse import urlencode

    asked = urlencode({"lang": "en", "models": models, "text": text, "turns": int(turns)})
    page = visit(f"#{view}?{asked}", **options)
    page.wait_for_selector("#shown section p, #shown section table")
    assert page.locator("#text").input_value() == text
    return page


def test_the_losses_of_two_models(visit, models, tokenizer):
    page = open_view(visit, "loss", TALK, turns=True, models="base,sft")
    ids, names = learned(TALK, tokenizer)
    assert texts(page, "#shown h2") == ["base", "sft"]
    for box, model in zip(page.locator("#shown section").all(), ("base", "sft"), strict=True):
        losses, expected = inside.losses(models[model].gpt, ids)
        assert box.locator(".token").all_text_contents() == names
        answer = losses[-len(tokenizer.encode(" Paris")) - 1 :]
        assert f"{sum(answer) / len(answer):.2f} nats" in box.locator("p").first.text_content()
        box.locator(".token").last.focus()
        note = box.locator(".note").text_content()
        assert f"{losses[-1]:.2f} nats" in note
        assert expected[-1] in tokenizer.hidden or same(tokenizer.tokens([expected[-1]])[0]) in note


def test_ids_and_mask_with_html_in_the_text(visit, tokenizer):
    page = open_view(visit, "mask", f"{HTML}\nParis", turns=True)
    ids, names = learned(f"{HTML}\nParis", tokenizer)
    shown = texts(page, ".token")
    assert shown == [name + str(i) for name, i in zip(names, ids, strict=True)]
    tints = page.locator(".token").evaluate_all("all => all.map(one => one.style.getPropertyValue('--tint'))")
    answer = len(tokenizer.encode(" Paris")) + 1
    assert tints == ["0"] * (len(ids) - answer) + ["0.5"] * answer
    assert page.locator("main img, main b").count() == 0


def test_attention_of_the_head_and_token_that_are_chosen(visit, models, tokenizer):
    page = open_view(visit, "attention", SENTENCE)
    weights = inside.attention_weights(models["base"].gpt, [tokenizer.doc, *tokenizer.encode(SENTENCE)])
    assert page.locator(".heads button").count() == 4
    page.locator(".heads button").nth(1).click()  # block 0, head 1
    page.locator(".token").nth(3).click()
    tints = page.locator(".token").evaluate_all("all => all.map(one => Number(one.style.getPropertyValue('--tint')))")
    assert tints == pytest.approx([*weights[0, 1, 3, :4].tolist(), *[0] * (len(tints) - 4)], abs=6e-4)
    best = int(weights[0, 1, 3].argmax())
    assert f"{100 * weights[0, 1, 3, best]:.1f} %" in page.locator(".note").text_content()
    pixels = page.locator("canvas").nth(1).evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 3)")  # fmt: skip
    assert [p / 255 for p in pixels] == pytest.approx(weights[0, 1].flatten().tolist(), abs=5e-3)


def test_the_cache_fills_with_the_slider_by_keyboard(visit, models, tokenizer):
    page = open_view(visit, "cache", "How are you?", turns=True)
    prompt = encode_dialogue([Message("user", "How are you?")], tokenizer).ids
    filled = inside.cache_filling(models["base"].gpt, prompt, 32, tokenizer.end)
    first_row = page.locator(".cache tbody tr").first.locator("td")
    assert first_row.count() == len(filled.ids) - 1 and page.locator(".cache tbody tr").count() == 4
    slider = page.locator("input[type=range]")
    slider.focus()
    for step in range(3):
        full = len(prompt) + step
        tints = first_row.evaluate_all("all => all.map(one => Number(one.style.getPropertyValue('--tint')))")
        most = filled.keys[0].max()
        assert tints[:full] == pytest.approx((filled.keys[0, :full] / most).tolist(), abs=1e-4)
        assert not any(tints[full:])
        assert (
            f"kept: {full - (1 if step else len(prompt))}. The cache: {full} x" in page.locator(".note").text_content()
        )
        slider.press("ArrowRight")


def test_the_lens_shows_each_depths_guess(visit, models, tokenizer):
    page = open_view(visit, "lens", SENTENCE)
    p, ids = inside.logit_lens(models["base"].gpt, [tokenizer.doc, *tokenizer.encode(SENTENCE)])
    cells = texts(page, ".lens .cell")
    assert len(cells) == ids[..., 0].numel()
    for at, depth in ((0, 0), (4, 1), (5, 2)):
        i = int(ids[depth, at, 0])
        name = tokenizer.decode([i], special=True) if i in tokenizer.hidden else same(tokenizer.tokens([i])[0])
        assert cells[3 * at + depth] == name
    page.locator(".lens .cell").last.focus()
    assert f"{100 * p[-1, -1, 0]:.1f} %" in page.locator(".note").text_content()


def test_the_adapter_is_switched_off_and_on(visit, models, tokenizer):
    page = open_view(visit, "lora", "How are you?", models="base")
    assert texts(page, "#shown h2") == ["lora"]
    bare = Assistant(Run(inside.without_adapters(models["lora"].gpt), tokenizer))
    switch = page.get_by_role("switch")
    for name, model in (("on", models["lora"]), ("off", bare), ("on", models["lora"])):
        assert switch.get_attribute("aria-checked") == str(name == "on").lower()
        logits = model.gpt(torch.tensor([encode_dialogue([Message("user", "How are you?")], tokenizer).ids]))[0, -1]
        assert f"{100 * logits.softmax(-1).max():.1f} %" in texts(page, "table tr td:nth-child(2)")
        switch.press("Enter")
    assert page.locator("meter").count() == len(lora.adapters(models["lora"].gpt))


def test_what_stage_1_read_is_shown_as_text(visit):
    page = open_view(visit, "text", "Paris")
    assert "2 of 3 documents" in page.locator("#shown p").first.text_content()
    assert texts(page, ".prose") == DOCUMENTS[:2]
    assert texts(page, "mark") == ["Paris"] * 3 and page.locator("main img, main b").count() == 0


def test_a_conversation_and_another_token(visit, models):
    page = visit("#chat?lang=en&models=base,sft&text=How are you?")
    page.locator("#text").press("Enter")
    page.wait_for_selector("#chats .token")
    assert texts(page, "#chats h2") == ["base", "sft"] and texts(page, ".user") == ["How are you?"] * 2
    box = page.locator("#chats section").first
    page.wait_for_load_state("networkidle")
    box.locator(".token").first.click()
    other = box.locator("td button:enabled").nth(1)
    name = other.text_content()
    other.click()
    page.wait_for_selector(".answer.former + .answer .token.picked")
    assert same(box.locator(".picked").text_content()) == name
    box.locator(".former .token").first.click()
    page.keyboard.press("Escape")
    assert page.locator("#chats table").count() == 0


def say(page, text: str) -> None:
    """Say something in the chat, and wait until all is answered or refused."""
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")
    page.wait_for_function("text => [...document.querySelectorAll('.user')].at(-1)?.textContent === text", arg=text)
    page.wait_for_selector(".user:last-of-type + div :is(.token, .error)")
    page.wait_for_load_state("networkidle")


def test_what_was_refused_was_not_said(browser, address):
    """Once one question that was too long kept every later one from being answered."""
    page = browser.new_page()
    page.goto(address + "/#chat?lang=en&models=base")
    say(page, " ".join(["How"] * 100))
    assert "context has 96 tokens" in texts(page, ".error")[0]
    say(page, "How are you?")
    assert page.locator(".token").count() > 0 and len(texts(page, ".error")) == 1
    page.close()


def test_the_oldest_turns_are_left_out_and_that_is_told(browser, address):
    page = browser.new_page()
    page.goto(address + "/#chat?lang=en&models=base")
    page.locator("#max_tokens").fill("8")
    for i in range(8):
        say(page, f"What is the capital of France {i}?")
    assert texts(page, ".error") == [] and len(texts(page, "#chats .note")) > 0
    page.close()


def test_a_field_left_empty_is_as_it_was_at_first_and_keeps_no_view_from_showing(visit):
    page = visit("#chat?lang=en&models=base")
    for name in ("temperature", "top_k", "top_p", "seed", "max_tokens"):
        page.locator(f"#{name}").fill("")
    say(page, "How are you?")
    assert texts(page, ".error") == []
    page.locator("#temperature").fill("5")
    page.locator("#views a").nth(1).click()
    page.locator("#text").fill("Paris")
    page.locator("#text").press("Enter")
    page.wait_for_function("() => location.hash.includes('text=Paris')")


def test_views_keep_the_address_and_the_language_can_be_changed(visit):
    page = open_view(visit, "lens", "The capital", models="sft")
    page.locator("#text").fill("Good morning")
    page.locator("#text").press("Enter")
    page.wait_for_function("location.hash.includes('Good')")
    page.locator("#language").click()
    page.wait_for_function("document.documentElement.lang === 'zh'")
    assert page.locator("#text").input_value() == "Good morning" and "models=sft" in page.url
    page.go_back()
    page.wait_for_function("document.documentElement.lang === 'en'")
    assert page.locator("#send").text_content() == "Show"


def test_a_fault_is_told_in_the_view(browser, address):
    page = browser.new_page()
    page.goto(f"{address}/#lens?text={'Paris ' * 200}")
    page.wait_for_selector("#shown .error")
    assert "at most 96" in page.locator("#shown .error").first.text_content()
    page.close()


def test_a_key_is_asked_for_once(browser, models):
    from minillm.serve.api import make_app

    for address in serve(make_app(models, key="geheim 密", documents=DOCUMENTS)):
        page = browser.new_page()
        page.goto(address + "/#text?text=Paris")
        for key in ("wrong", "geheim 密"):
            page.wait_for_selector("#door[open]")
            page.fill("#key", key)
            page.press("#key", "Enter")
        page.wait_for_selector("#shown mark")
        assert page.locator("#door[open]").count() == 0
        page.locator("nav a[data-view=loss]").click()
        page.wait_for_selector("#shown .token")
        page.close()
