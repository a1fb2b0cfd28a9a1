// The views: each draws what the server tells of one model and one text into a section of that model.
import { candidates, tokensOf } from "./chat.js";
import { cell, chances, line, make, percent, say, seen, table, tint } from "./kit.js";

const EXAMPLE = {
  en: { question: "What is the capital of Norway?", answer: "Oslo", text: "The capital of Norway is", place: "Norway" },
  zh: { question: "台湾最高的山是哪座？", answer: "玉山", text: "台湾最高的山是", place: "台湾" },
};
const FULL = "question answer", OFF = " (off)";
// What a view begins with, whether as a dialogue, the lesson that explains it, whether it needs the whole width, and of
// which models it is if not of those that are ticked.
export const VIEWS = {
  chat: { example: "", lesson: "05_sampling" },
  loss: { example: FULL, turns: true, lesson: "06_pretraining", draw: loss },
  mask: { example: FULL, turns: true, lesson: "07_sft", draw: mask },
  attention: { example: "text", lesson: "03_attention", draw: attention },
  cache: { example: "question", turns: true, lesson: "05_sampling", draw: cache, wide: true },
  lens: { example: "text", lesson: "04_gpt", draw: lens, wide: true },
  lora: { example: "question", turns: true, lesson: "08_lora", draw: lora,
    of: models => models.filter(model => models.includes(model + OFF)) },
  text: { example: "place", lesson: "06_pretraining", draw: passages, of: () => [""] },
};
export const example = (view, language) => VIEWS[view].example.split(" ").map(one => EXAMPLE[language][one]).join("\n");

function loss(box, { tokens, losses, expected, learned }) {
  const counted = learned.includes(true) ? losses.filter((_, i) => learned[i + 1]) : losses;
  const mean = counted.reduce((a, b) => a + b, 0) / counted.length;
  make("p", box, say(learned.includes(true) ? "mean" : "mean_all", mean.toFixed(2), Math.exp(mean).toFixed(1)));
  const tell = i => i ? say("nats", seen(tokens[i]), losses[i - 1].toFixed(2), percent(Math.exp(-losses[i - 1])),
    seen(expected[i - 1])) : "";
  line(box, tokens, tell, i => i ? Math.min(1, losses[i - 1] / 8) : 0);
}
function mask(box, { tokens, ids, learned }) {
  const tell = i => say("is_id", seen(tokens[i]), ids[i]) + say(learned[i] ? "learned" : "given");
  line(box, tokens, tell, i => learned[i] ? .5 : 0).forEach((button, i) => make("small", button, ids[i]));
  box.querySelector(".tokens").classList.add("boxed");
}
function attention(box, { tokens, permille }) {
  const maps = make("div", box, "", "heads");
  let layer = permille.length - 1, head = 0, at = tokens.length - 1;
  const weights = () => permille[layer][head][at];
  const tell = i => {
    at = i;
    buttons.forEach((button, j) => {
      tint(button, (weights()[j] ?? 0) / 1000);
      button.classList.toggle("open", j === at);
    });
    const most = weights().map((w, j) => [tokens[j], w / 1000]).sort((a, b) => b[1] - a[1]).filter(([, w]) => w);
    return say("looks", seen(tokens[at]), chances(most.slice(0, 4)));
  };
  permille.forEach((heads, l) => heads.forEach((rows, h) => {
    const button = make("button", maps, "");
    heatmap(make("canvas", button), rows);
    make("span", button, say("head", l, h));
    button.onclick = () => {
      [layer, head] = [l, h];
      for (const other of maps.children) other.ariaPressed = other === button;
      buttons[at].click();
    };
  }));
  const buttons = line(box, tokens, tell);
  maps.children[layer * permille[0].length].click();
}
function heatmap(canvas, permille) {  // (T, T): the more, the bluer
  const n = canvas.width = canvas.height = permille.length, pen = canvas.getContext("2d");
  permille.forEach((row, i) => row.forEach((weight, j) => {
    pen.fillStyle = `rgb(59 130 246 / ${weight / 1000})`;
    pen.fillRect(j, i, 1, 1);
  }));
}
function cache(box, { tokens, prompt, keys, values, token_bytes }) {
  const slider = make("input", make("label", box, say("step") + " ")), play = make("button", box, say("play"));
  const note = make("p", box, "", "note"), columns = keys[0].length;
  Object.assign(slider, { type: "range", min: 0, max: columns - prompt, value: 0 });
  const body = table(box, "cache", ["", ...tokens.slice(0, columns).map(seen)]);
  const rows = keys.flatMap((own, l) => [["K", own], ["V", values[l]]].map(([name, lengths]) => {
    const row = make("tr", body), most = Math.max(...lengths);
    make("th", row, `${say("block", l)} ${name}`);
    return lengths.map(length => [make("td", row), length / most]);
  }));
  slider.oninput = () => {
    const step = Number(slider.value), full = prompt + step, now = step ? 1 : prompt;
    for (const row of rows) row.forEach(([one, share], i) => tint(one, i < full ? share : 0));
    body.parentElement.querySelectorAll("thead th").forEach((name, i) => name.classList.toggle("former", i > full));
    const bytes = (full * token_bytes / 1000).toFixed(1);
    note.textContent = `${say("read", now, full - now, full, token_bytes, bytes, full)} → “${seen(tokens[full])}”`;
  };
  play.onclick = () => {
    slider.value = 0;
    const timer = setInterval(() => {
      slider.oninput();
      if (slider.value === slider.max || !slider.isConnected) clearInterval(timer);
      slider.stepUp();
    }, 400);
  };
  slider.oninput();
}
function lens(box, { tokens, guesses, probabilities }) {
  const note = make("p", box, "", "note"), depths = guesses.map((_, l) => l ? say("block", l - 1) : say("embedding"));
  const body = table(box, "lens", [say("token"), ...depths]);
  tokens.forEach((token, i) => {
    const row = make("tr", body);
    make("th", row, seen(token));
    guesses.forEach((depth, l) => {
      const best = depth[i].map((name, k) => [name, probabilities[l][i][k]]);
      const tell = () => `${depths[l]}. ${say("after", seen(token), chances(best))}`;
      cell(make("td", row), ...best[0], note, tell, "cell");
    });
  });
}
async function lora(box, { shares }, { model, text }) {
  const both = await Promise.all([model, model + OFF].map(async name => {
    const messages = [{ role: "user", content: text }], settings = { temperature: 0, max_tokens: 48 };
    return Array.fromAsync(tokensOf(name, messages, [], settings));
  }));
  const toggle = make("button", box, ""), answer = make("p", box, "", "answer"), first = make("div", box);
  toggle.setAttribute("role", "switch");
  const turn = on => {
    const tokens = both[on ? 0 : 1];
    toggle.ariaChecked = on;
    toggle.textContent = say(on ? "on" : "off");
    answer.textContent = tokens.map(token => token.token).join("") || say("end");
    first.textContent = say("first");
    if (tokens.length) candidates(first, tokens[0].top_logprobs);
  };
  toggle.onclick = () => turn(toggle.ariaChecked !== "true");
  turn(true);
  make("p", box, say("shares"));
  const body = table(box, "");
  for (const [name, share] of Object.entries(shares)) {
    const row = make("tr", body);
    make("td", row, name.replace("blocks.", ""));
    Object.assign(make("meter", make("td", row)), { value: share, max: Math.max(...Object.values(shares)) });
    make("td", row, percent(share));
  }
}
function passages(box, { read, found, passages }, { text }) {
  make("p", box, read ? say("found", found, read) : say("notext"));
  for (const passage of passages) {
    const parts = passage.split(text), place = make("p", box, parts.shift(), "prose");
    for (const part of parts) {
      make("mark", place, text);
      place.append(part);
    }
  }
}
