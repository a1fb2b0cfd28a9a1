// What all parts of the page share: words, elements, requests, a line of tokens.
import { WORDS } from "./words.js";

export const get = id => document.getElementById(id);
let language = "en", key = "", door = null;

export function speak(to) {
  language = document.documentElement.lang = to;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
}
export function say(word, ...values) {  // the sentence, each % replaced by a value
  return WORDS[language][word].replace(/%/g, sign => values.length ? values.shift() : sign);
}
export function make(kind, parent, text = "", name = "") {  // all text goes in as text, never as HTML
  const element = document.createElement(kind);
  element.textContent = text;
  element.className = name;
  if (kind === "button") element.type = "button";
  return parent.appendChild(element);
}
export const percent = p => (100 * p).toFixed(1) + " %";
export const seen = token => token.replace(/\n/g, "⏎").replace(/^ $/, "␣");  // a token that shows by itself
export const chances = pairs => pairs.map(([token, p]) => `“${seen(token)}” ${percent(p)}`).join(say("comma"));
export const tint = (element, share) => element.style.setProperty("--tint", share);
export function table(place, kind, names = []) {  // an empty one, with names above its columns
  const table = make("table", make("div", place, "", "scroll"), "", kind), head = make("tr", make("thead", table));
  for (const name of names) make("span", make("th", head), name);
  return make("tbody", table);
}
// A button that shows a token, more or less coloured; chosen, it says in the note what `tell` knows.
export function cell(place, token, share, note, tell, kind = "token") {
  const button = make("button", place, seen(token), kind);
  tint(button, share);
  button.onclick = button.onfocus = () => note.textContent = tell();
  return button;
}
export function line(place, tokens, tell, share = () => 0) {  // tokens next to each other; returns their buttons
  const row = make("div", place, "", "tokens"), note = make("p", place, "", "note");
  note.ariaLive = "polite";
  return tokens.map((token, i) => cell(row, token, share(i), note, () => tell(i)));
}
// The server's reply to a GET, or to a POST of a body. The key is asked for once and is kept in this page only.
export async function ask(path, body) {
  const used = key, bytes = new TextEncoder().encode(used);
  const options = used ? { headers: { Authorization: "Bearer " + String.fromCharCode(...bytes) } } : {};
  if (body) Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  const reply = await fetch(path, options);
  if (reply.status === 401) {
    if (used === key) await (door ??= askForKey().finally(() => door = null));
    return ask(path, body);
  }
  if (!reply.ok) {
    const { message, code } = (await reply.json()).error;
    throw Object.assign(new Error(message), { code });
  }
  return reply;
}
function askForKey() {
  const dialog = get("door");
  get("key").value = dialog.returnValue = "";
  dialog.showModal();
  return new Promise((entered, left) => {
    dialog.onclose = () => dialog.returnValue ? entered(key = get("key").value) : left(new Error(say("nokey")));
  });
}
