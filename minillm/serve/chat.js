// The chat: models side by side, the candidates of each token, and going on from another one.
import { ask, get, make, percent, say, seen, table } from "./kit.js";

const chats = new Map();  // model -> {box, messages, last}: what was said, and the newest answer
const SETTINGS = ["temperature", "top_k", "top_p", "seed", "max_tokens"];

export function choose(models) {
  for (const [model, chat] of chats) if (!models.includes(model)) { chat.box.remove(); chats.delete(model); }
  for (const model of models.filter(m => !chats.has(m))) {
    const box = make("section", get("chats"));
    make("h2", box, model);
    chats.set(model, { box, messages: [], last: null });
  }
}
export async function send(content) {
  await Promise.all([...chats].map(async ([model, chat]) => {
    make("p", chat.box, content, "user");
    const before = chat.messages, messages = [...before, { role: "user", content }];
    const place = chat.last = make("div", chat.box);
    const mine = chat.messages = [...messages, { role: "assistant", content: "" }];
    const text = await answer(model, place, messages, []);
    if (text !== null) mine.at(-1).content = text;
    else if (chat.messages === mine) chat.messages = before;  // what was refused was not said
  }));
}
export function fresh() {
  const models = [...chats.keys()];
  choose([]);
  choose(models);
}
// The tokens of an answer, each with its candidates, as they come.
export async function* tokensOf(model, messages, given, settings) {
  const body = { model, messages, ...settings, prefix_ids: given, logprobs: true, top_logprobs: 10, stream: true };
  const reply = await ask("/v1/chat/completions", body);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let held = "", part; !(part = await reader.read()).done;) {
    const events = (held + part.value).split("\n\n");
    held = events.pop();
    for (const event of events.filter(e => e !== "data: [DONE]")) {
      const chunk = JSON.parse(event.slice(6));
      if (chunk.error) throw new Error(chunk.error.message);
      yield* chunk.choices[0].logprobs?.content ?? [];
    }
  }
}
// One answer: the tokens that are given (a "what if"), then what the model goes on with; its text, or null if it was
// refused. The oldest turns of a conversation that is too long are left out, as `chat` does in a terminal.
async function answer(model, place, messages, given) {
  const line = make("div", place, "", "answer"), tokens = [];
  const add = token => {
    const button = make("button", line, token.token, "token" + (token.picked ? " picked" : ""));
    const at = tokens.push(token) - 1;
    button.onclick = () => show(model, place, button, messages, tokens, at);
  };
  given.forEach(add);
  const settings = Object.fromEntries(SETTINGS.map(name => [name, Number(get(name).value || get(name).defaultValue)]));
  for (let kept = messages; kept.length; kept = kept.slice(2)) try {
    if (kept.length === messages.length - 2) make("p", line, say("cut"), "note");
    for await (const token of tokensOf(model, kept, given.map(t => t.id), settings)) add(token);
    const chat = chats.get(model);
    if (chat?.last === place) chat.messages = chat.messages.slice(-kept.length - 1);  // not tried anew every time
    break;
  } catch (error) {
    if (error.code === "context_length_exceeded" && kept.length > 2) continue;
    make("p", line, error.message, "error");
    if (tokens.length === given.length) return null;
    break;
  }
  return new TextDecoder().decode(new Uint8Array(tokens.flatMap(t => t.bytes ?? []))).trim();  // whole characters
}
export function close() {
  document.querySelector("#chats .scroll")?.remove();
  const open = document.querySelector("#chats .open");
  open?.classList.remove("open");
  return open;
}
// A table of what could be at one place; `pick`, if there is one, is called with a candidate that is chosen.
export function candidates(place, found, pick) {
  const body = table(place, "", ["token", "own", "drawn"].map(name => say(name)));
  for (const candidate of found) {
    const row = make("tr", body), button = make(pick ? "button" : "span", make("td", row), seen(candidate.token));
    for (const p of [Math.exp(candidate.logprob), candidate.drawn]) make("td", row, percent(p));
    button.disabled = candidate.bytes === null;  // a control token: the answer would end here
    button.onclick = () => pick?.(candidate);
  }
  return body;
}
function show(model, place, button, messages, tokens, at) {
  close();
  button.classList.add("open");
  const body = candidates(place, tokens[at].top_logprobs, async candidate => {
    close();
    for (const old of place.querySelectorAll(".answer")) old.classList.add("former");
    const other = { ...candidate, picked: true, top_logprobs: tokens[at].top_logprobs };
    const text = await answer(model, place, messages, [...tokens.slice(0, at), other]);
    const chat = chats.get(model);
    if (text !== null && chat?.last === place) chat.messages.at(-1).content = text;
  });
  make("button", body.insertRow().insertCell(), say("close")).onclick = () => close()?.focus();
}
document.addEventListener("keydown", event => { if (event.key === "Escape") close()?.focus(); });
