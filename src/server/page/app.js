// What does the page do? Holds the open conversation, asks the server, and connects the controls.
import { RequestError, getJson, postJson, setKey, stream } from "./api.js";
import { closeSide, closeWhatIsOpen, connectFrame } from "./frame.js";
import { SAMPLING, connectSettings, settingsFields } from "./settings.js";
import * as store from "./store.js";
import { LogView, button, statsText } from "./view.js";

const $ = (id) => document.getElementById(id);
const STORY_TOKENS = 200;  // where no other number is given: a passage, after which one may go on

let model = null;  // {name, context, chat, defaults}
let conversation = store.newConversation("chat");
let running = null;  // {controller} while an answer comes
let removed = null;  // the conversation that Undo brings back

const log = new LogView($("log"), $("scroll"), {
  edit: (index, text) => rewrite(index, text),
  again: (index) => regenerate(index),
  copied: (done) => announce(done ? "Copied" : "Copying was not allowed"),
});

// Read out by screen readers, politely: the end of an answer, not each of its tokens.
function announce(text) {
  $("status").textContent = "";
  setTimeout(() => ($("status").textContent = text), 50);
}

function showProblem(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

function describe(error) {
  if (error.code === "context_length_exceeded")
    return `The conversation no longer fits the model's context${model ? ` of ${model.context.toLocaleString("en")} tokens` : ""}. Edit an earlier part, or begin a new one.`;
  if (error.status === 429) return `The server is busy; it expects room in about ${Math.ceil(error.retryAfter ?? 1)} s.`;
  return error instanceof RequestError ? error.message : `The page failed: ${error.message}`;
}

// Runs `work`; where the server asks for a key, asks the reader and runs it again.
async function withKey(work) {
  for (let wrong = false;; wrong = true) {
    try {
      return await work();
    } catch (error) {
      if (error.status !== 401) throw error;
      setKey(await askKey(wrong));
    }
  }
}

function askKey(wrong) {
  $("key-wrong").hidden = !wrong;
  $("key").value = "";
  $("key-dialog").showModal();
  $("key").focus();
  return new Promise((resolve) => {
    $("key-form").onsubmit = () => resolve($("key").value.trim());
    $("key-dialog").oncancel = (event) => event.preventDefault();
  });
}

async function connect() {
  try {
    const [props, list] = await withKey(() => Promise.all([getJson("/props"), getJson("/v1/models")]));
    const settings = props.default_generation_settings;
    model = { name: props.model_alias, context: settings.n_ctx, chat: props.has_chat_template, defaults: settings.params };
    showModels(list.data);
    for (const name of SAMPLING) $(`p-${name}`).placeholder = Number(model.defaults[name].toPrecision(4));
    await chooseModel(model.name);
  } catch (error) {
    showProblem(describe(error));
  }
}

// Several models: the first is the default, any may be chosen.
function showModels(list) {
  model.contexts = new Map(list.map((entry) => [entry.id, entry.meta?.n_ctx]));
  $("models").replaceChildren(...list.map(({ id }) => new Option(id, id, id === model.name, id === model.name)));
  $("models").hidden = list.length < 2;
  $("model").classList.toggle("unseen", list.length >= 2);
}

// Does the model tell who speaks? One whose template gives a message back as it is goes on with texts, as one without a template.
async function answersMessages(name) {
  try {
    const { prompt } = await postJson("/apply-template", { model: name, messages: [{ role: "user", content: "Hello" }] });
    return prompt.trim() !== "Hello";
  } catch (error) {
    if (error.status === 401) throw error;
    return false;
  }
}

async function chooseModel(name) {
  Object.assign(model, { name, context: model.contexts.get(name) ?? model.context, chat: await withKey(() => answersMessages(name)) });
  $("model").textContent = name;
  document.title = `${name} \u2013 bitnet`;
  $("p-max_tokens").placeholder = model.chat ? "no limit" : STORY_TOKENS;
  $("mode").hidden = model.chat;
  document.documentElement.dataset.mode = model.chat ? "chat" : "story";
  if (conversation.turns.length === 0) open(newConversation());
  showProblem("");
}

function newConversation() {
  return store.newConversation(model?.chat === false ? "story" : "chat");
}

function welcome() {
  const box = document.createElement("div");
  box.className = "welcome";
  const story = conversation.mode === "story";
  const head = document.createElement("h2");
  head.textContent = story ? "Begin a story" : "What is on your mind?";
  const text = document.createElement("p");
  text.textContent = story
    ? "This model does not converse: it goes on with the text that you begin. Write a sentence, or take one of these."
    : "The model runs on this server; nothing leaves it.";
  const ideas = document.createElement("div");
  ideas.className = "ideas";
  const all = story
    ? ["Once upon a time there was a little robot who", "One day, Lily found a red box in the garden.", "The sea was calm that morning, and"]
    : ["Explain why the sky is blue.", "Write a haiku about rain.", "List three uses of a paper clip."];
  ideas.append(...all.map((idea) => button("idea", null, "", () => {
    $("text").value = idea;
    fit();
    $("text").focus();
  }, idea)));
  box.append(head, text, ideas);
  return box;
}

function open(next) {
  stop();
  conversation = next;
  const story = conversation.mode === "story";
  showPlaceholder();
  $("text-label").textContent = story ? "Text" : "Message";
  log.show(conversation, welcome());
  showContext();
  showList();
  showProblem("");
}

function showPlaceholder() {
  const begun = conversation.turns.length > 0;
  const story = begun ? "Write what comes next, or press Enter to let it go on" : "Write how it begins";
  $("text").placeholder = conversation.mode === "story" ? story : "Write a message";
}

function showList() {
  const all = store.conversations();
  $("list").replaceChildren(...all.map((entry) => {
    const item = document.createElement("li");
    const name = button("entry", null, "", () => {
      open(entry);
      closeSide();
      $("text").focus();
    }, store.titleOf(entry));
    if (entry.id === conversation.id) name.setAttribute("aria-current", "true");
    const bin = button("icon small", "bin", `Delete \u201c${store.titleOf(entry)}\u201d`, () => remove(entry));
    item.append(name, bin);
    return item;
  }));
}

function remove(entry) {
  store.remove(entry.id);
  removed = entry;
  $("toast-text").textContent = "Conversation deleted";
  $("toast").hidden = false;
  clearTimeout(remove.timer);
  remove.timer = setTimeout(() => ($("toast").hidden = true), 8000);
  announce("Conversation deleted");
  if (entry.id === conversation.id) open(newConversation());
  else showList();
  $("new").focus();
}

function keep() {
  if (conversation.turns.length === 0) return;
  conversation.updated = Date.now();
  conversation.title = store.titleOf(conversation);
  if (!store.save(conversation)) showProblem("This browser has no room left: the conversation is not kept. Export it, or delete others.");
  showList();
}

function showContext() {
  const used = conversation.turns.findLast((turn) => turn.stats?.context)?.stats.context;
  $("context").hidden = !used || !model;
  if ($("context").hidden) return;
  const share = Math.min(1, used / model.context);
  $("context-meter").value = share;
  $("context-text").textContent = `${used.toLocaleString("en")} of ${model.context.toLocaleString("en")} tokens`;
  $("context-meter").title = `${Math.round(share * 100)} % of the context in use`;
}

function body(fields) {
  const { system, ...sampling } = fields;
  const base = { model: model?.name ?? "default", ...sampling };
  if (conversation.mode === "story")
    return { max_tokens: STORY_TOKENS, ...base, prompt: store.storyText(conversation.turns.slice(0, -1)) };
  const messages = conversation.turns.slice(0, -1).map((turn) => ({ role: turn.role, content: turn.text }));
  return { ...base, messages: system ? [{ role: "system", content: system }, ...messages] : messages };
}

// Asks for an answer to what the conversation holds, and appends it as it comes.
async function answer() {
  const turn = { role: "assistant", text: "" };
  const asked = conversation;
  asked.turns.push(turn);
  const view = log.add(turn);
  const controller = new AbortController();
  const mine = running = { controller };
  showRunning(true);
  view.setBusy(true);
  showProblem("");
  const measured = { tokens: 0, sent: performance.now(), first: 0, last: 0, usage: null, reason: null };
  let failure = null;
  try {
    const story = asked.mode === "story";
    const path = story ? "/v1/completions" : "/v1/chat/completions";
    await withKey(() => stream(path, body(settingsFields()), controller.signal, (event) => {
      if (event.usage) measured.usage = event.usage;
      const choice = event.choices[0];
      const piece = (story ? choice?.text : choice?.delta.content) ?? "";
      if (choice?.finish_reason) measured.reason = choice.finish_reason;
      if (!piece) return;
      measured.last = performance.now();
      measured.first ||= measured.last;
      ++measured.tokens;
      turn.text += piece;
      log.redraw(view);
    }));
  } catch (error) {
    if (error.name === "AbortError") measured.reason = "stopped";
    else failure = error;
  }
  turn.stats = statsOf(measured);
  if (running === mine) {
    running = null;
    showRunning(false);
  }
  finish(asked, turn, view, failure);
}

// The rate is that of the tokens behind the first; where they came too close together to tell, of all since the question.
function statsOf({ tokens: pieces, sent, first, last, usage, reason }) {
  const tokens = usage?.completion_tokens ?? pieces;
  const rate = last - first > 250 ? (tokens - 1) / (last - first) : tokens / (last - sent);
  return { tokens, exact: Boolean(usage), rate: last > 0 ? rate * 1000 : 0, reason, context: usage?.total_tokens };
}

function finish(asked, turn, view, failure) {
  if (!turn.text && asked.turns.at(-1) === turn) {
    // Nothing came: the turn goes, so that the next try does not build on emptiness.
    asked.turns.pop();
    if (asked === conversation) log.show(conversation, welcome());
  } else {
    view.update();
    view.setBusy(false);
    if (log.following) log.toEnd();
  }
  if (asked !== conversation) {
    store.save(asked);
    showList();
    return;
  }
  keep();
  showContext();
  showPlaceholder();
  if (failure) showProblem(describe(failure));
  else if (!turn.text) showProblem("The model ended its answer without a word.");
  announce(failure ? "" : `Answer finished. ${statsText(turn.stats)}`);
}

function send() {
  const text = $("text").value;
  const goesOn = conversation.mode === "story" && conversation.turns.length > 0;
  if (running || (!text.trim() && !goesOn)) return;
  const last = conversation.turns.at(-1);
  if (text.trim()) {
    // After an answer that failed, the message that has none yet gives way to the new one.
    if (conversation.mode === "chat" && last?.role === "user") conversation.turns.pop();
    conversation.turns.push({ role: "user", text: conversation.mode === "story" ? store.addedToStory(conversation.turns, text) : text.trim() });
    if (last?.role === "user") log.show(conversation, welcome());
    else log.add(conversation.turns.at(-1));
  }
  $("text").value = "";
  fit();
  keep();
  answer();
}

function stop() {
  running?.controller.abort();
}

// The turns from `index` on go, and what stands before them is answered.
function regenerate(index) {
  if (running) return;
  conversation.turns.length = index;
  log.show(conversation, welcome());
  answer();
  $("text").focus();
}

function rewrite(index, text) {
  if (running) return;
  conversation.turns.length = index;
  conversation.turns.push({ role: "user", text });
  log.show(conversation, welcome());
  keep();
  answer();
  $("text").focus();
}

function showRunning(on) {
  $("send").hidden = on;
  $("stop").hidden = !on;
  document.documentElement.classList.toggle("running", on);
}

// The box grows with its text.
function fit() {
  const area = $("text");
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, window.innerHeight * 0.4)}px`;
}

function download(text, type, ending) {
  const name = store.titleOf(conversation).toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 40) || "conversation";
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([text], { type }));
  anchor.download = `${name}.${ending}`;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
  $("export").open = false;
}

function connectControls() {
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  $("text").addEventListener("input", fit);
  $("text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  $("stop").addEventListener("click", () => {
    stop();
    $("text").focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.isComposing || $("key-dialog").open) return;
    if (running) stop();
    else closeWhatIsOpen();
  });
  $("new").addEventListener("click", () => {
    open(newConversation());
    closeSide();
    $("text").focus();
  });
  $("models").addEventListener("change", () => chooseModel($("models").value).catch((error) => showProblem(describe(error))));
  $("export-json").addEventListener("click", () => download(store.asJson(conversation, model?.name ?? null), "application/json", "json"));
  $("export-markdown").addEventListener("click", () => download(store.asMarkdown(conversation), "text/markdown", "md"));
  $("toast-undo").addEventListener("click", () => {
    store.save(removed);
    $("toast").hidden = true;
    open(removed);
  });
  connectSettings();
}

connectFrame();
connectControls();
open(conversation);
connect();
