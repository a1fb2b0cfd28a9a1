// The page: its address says which view shows what, so that a lesson can link to it: #lens?text=…&models=base,sft
import { choose, close, fresh, send } from "./chat.js";
import { ask, get, make, say, speak } from "./kit.js";
import { VIEWS, example } from "./views.js";

const typed = {};  // what was typed in each view
let models = [], state = {}, round = 0;

function read() {  // the address -> state
  const [, view, query] = location.hash.match(/^#?([^?]*)\??(.*)/);
  const given = Object.fromEntries(new URLSearchParams(query));
  const language = given.lang ?? state.lang ?? (navigator.language.startsWith("zh") ? "zh" : "en");
  const known = given.models?.split(",").filter(model => models.includes(model)) ?? [];
  state = { view: view in VIEWS ? view : "chat", lang: language === "zh" ? "zh" : "en" };
  state.models = known.length ? known.slice(0, 4) : ticked().length ? ticked() : models.slice(0, 4);
  state.text = given.text ?? typed[state.view] ?? example(state.view, state.lang);
  state.turns = given.turns ? given.turns === "1" : VIEWS[state.view].turns ?? false;
}
function address({ view, lang, models, text, turns }) {
  return `#${view}?` + new URLSearchParams({ lang, models: models.join(","), text, turns: turns ? 1 : 0 });
}
const ticked = () => [...get("models").querySelectorAll("input:checked")].map(box => box.value);

function render() {
  read();
  const { view, lang } = state, chat = view === "chat";
  speak(lang);
  get("language").textContent = say("other");
  get("hint").textContent = say("hint_" + view);
  const { lesson, wide, of } = VIEWS[view];
  get("lesson").textContent = say("lesson", Number(lesson.slice(0, 2)));
  get("lesson").href = `lesson/${lang}/${lesson}`;
  get("code").href = "code/" + view;
  for (const link of get("views").children) {
    link.textContent = say("view_" + link.dataset.view);
    link.ariaCurrent = link.dataset.view === view ? "page" : null;
  }
  for (const box of get("models").querySelectorAll("input")) {
    box.checked = state.models.includes(box.value);
    box.disabled = !box.checked && state.models.length >= 4;
  }
  document.body.className = chat ? "chat" : wide ? "wide" : "";
  get("settings").disabled = !chat;  // or what is wrong in a field that is not seen would keep a view from showing
  get("models").hidden = get("as_turns").hidden = Boolean(of);
  get("turns").checked = state.turns;
  get("text").value = state.text;
  get("send").textContent = say(chat ? "send" : "show");
  get("text").placeholder = get("text").ariaLabel = say(chat ? "ask" : "write");
  choose(state.models);
  if (!chat) show(state, ++round);
}
async function show({ view, models: asked, text, turns }, mine) {
  typed[view] = text;
  history.replaceState(null, "", address(state));
  get("shown").textContent = "";
  const shown = VIEWS[view].of?.(models) ?? asked;
  if (!shown.length) make("p", get("shown"), say("nolora"));
  for (const model of shown) {
    const box = make("section", get("shown"));
    make("h2", box, model);
    try {
      const found = await (await ask("view/" + view, { model, text, turns })).json();
      if (mine === round) await VIEWS[view].draw(box, found, { model, text });
    } catch (error) { make("p", box, error.message, "error"); }
    if (mine !== round) return;
  }
}
function go(change) {
  const now = { models: ticked(), text: get("text").value, turns: get("turns").checked };
  location.hash = address({ ...state, ...now, ...change });
}
get("form").onsubmit = event => {
  event.preventDefault();
  const content = get("text").value.trim();
  if (!content || state.view !== "chat") return go({});
  get("text").value = typed.chat = "";
  send(content);
};
get("text").onkeydown = event => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  get("form").requestSubmit();
};
get("fresh").onclick = fresh;
get("turns").onchange = () => go({});
get("language").onclick = () => { close(); go({ lang: state.lang === "en" ? "zh" : "en" }); };
for (const view of Object.keys(VIEWS)) Object.assign(make("a", get("views")), { href: "#" + view }).dataset.view = view;
speak("en");
ask("v1/models").then(reply => reply.json()).then(({ data }) => {
  models = data.map(({ id }) => id);
  for (const id of models) {
    const label = make("label", get("models")), box = make("input", label);
    make("span", label, " " + id);
    Object.assign(box, { type: "checkbox", value: id, onchange: () => go({}) });
  }
  window.onhashchange = render;
  get("text").disabled = false;
  render();
}).catch(error => { get("hint").textContent = error.message; });
