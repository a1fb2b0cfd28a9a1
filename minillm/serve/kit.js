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
  if (!reply.ok) throw new Error((await reply.json()).error.message);
  return reply;
}
function askForKey() {
  const dialog = get("door");
  get("key").value = "";
  dialog.showModal();
  return new Promise((entered, left) => {
    dialog.querySelector("form").onsubmit = event => {
      event.preventDefault();
      key = get("key").value;
      entered();
      dialog.close();
    };
    dialog.onclose = () => left(new Error(say("nokey")));
  });
}
// Tokens side by side, as buttons; choosing one says below what `tell` knows of it. Returns the buttons.
export function line(place, tokens, tell, tint = () => 0) {
  const row = make("div", place, "", "tokens"), note = make("p", place, "", "note");
  note.ariaLive = "polite";
  return tokens.map((token, i) => {
    const button = make("button", row, seen(token), "token");
    button.style.setProperty("--tint", tint(i));
    button.onclick = button.onfocus = () => note.textContent = tell(i);
    return button;
  });
}
