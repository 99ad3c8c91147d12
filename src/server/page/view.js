// How is a conversation shown? Turns as articles of a log, in chat with Markdown, in a story as one running text.
import { render } from "./markdown.js";

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function button(className, name, label, action, text = null) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = className;
  if (name) made.append(icon(name));
  if (text) made.append(text);
  else {
    made.setAttribute("aria-label", label);
    made.title = label;
  }
  made.addEventListener("click", action);
  return made;
}

export async function copyText(text, control) {
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    // Without HTTPS or leave there is no clipboard; the older way needs a selection.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    done = document.execCommand("copy");
    area.remove();
    control.focus();
  }
  control.classList.toggle("done", done);
  setTimeout(() => control.classList.remove("done"), 1500);
  return done;
}

const count = (n, one) => `${n.toLocaleString("en")} ${one}${n === 1 ? "" : "s"}`;

// "312 tokens, 41.3 a second"
export function statsText(stats) {
  if (!stats || !stats.tokens) return "";
  const about = stats.exact ? "" : "about ";
  const rate = stats.rate > 0 ? `, ${stats.rate.toFixed(stats.rate < 100 ? 1 : 0)} a second` : "";
  const reason = { length: ", ended by the limit", stopped: ", stopped" }[stats.reason] ?? "";
  return about + count(stats.tokens, "token") + rate + reason;
}

// One turn on the page. `actions`: {edit(index, text), again(), copied(done)}.
class TurnView {
  constructor(turn, index, story, actions) {
    this.turn = turn;
    this.story = story;
    this.element = document.createElement("article");
    this.element.className = `turn ${turn.role}`;
    this.element.dataset.index = index;
    const who = turn.role === "user" ? "You" : "Model";
    this.element.setAttribute("aria-label", story ? `${who}, part ${index + 1}` : who);
    this.body = document.createElement("div");
    this.body.className = "body";
    this.foot = document.createElement("div");
    this.foot.className = "foot";
    this.stats = document.createElement("span");
    this.stats.className = "stats";
    const copy = button("icon small", "copy", turn.role === "user" ? "Copy this message" : "Copy this answer", async () =>
      actions.copied(await copyText(turn.text, copy)));
    this.foot.append(copy);
    if (turn.role === "user") this.foot.append(button("icon small", "edit", "Edit this message", () => this.edit(index, actions)));
    else this.foot.append(button("icon small again", "again", "Regenerate this answer", () => actions.again(index)), this.stats);
    this.element.append(this.body, this.foot);
    this.update();
  }

  update() {
    if (this.story || this.turn.role === "user") {
      this.body.classList.add("plain-text");
      this.body.textContent = this.turn.text;
    } else {
      this.body.replaceChildren(...render(this.turn.text));
    }
    this.stats.textContent = statsText(this.turn.stats);
  }

  setBusy(busy) {
    this.element.classList.toggle("busy", busy);
    if (busy) this.element.setAttribute("aria-busy", "true");
    else this.element.removeAttribute("aria-busy");
  }

  edit(index, actions) {
    const form = document.createElement("form");
    form.className = "editor";
    const area = document.createElement("textarea");
    area.value = this.turn.text;
    area.setAttribute("aria-label", "Edit the message");
    area.rows = Math.min(12, this.turn.text.split("\n").length + 1);
    const back = () => {
      form.remove();
      this.element.classList.remove("editing");
      this.foot.querySelector("button:nth-of-type(2)").focus();
    };
    const note = document.createElement("span");
    note.className = "note";
    note.textContent = "What follows it is written anew.";
    const done = button("strong", null, "", () => {}, "Save and answer");
    done.type = "submit";
    const row = document.createElement("div");
    row.className = "editor-end";
    row.append(note, button("plain", null, "", back, "Cancel"), done);
    form.append(area, row);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (area.value.trim()) actions.edit(index, area.value);
    });
    area.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      if (event.key === "Escape") {
        event.stopPropagation();
        back();
      } else if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
    this.element.classList.add("editing");
    this.element.append(form);
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }
}

// The log. Follows the end of the text while the reader is there.
export class LogView {
  constructor(log, scroll, actions) {
    Object.assign(this, { log, scroll, actions, views: [], story: false, following: true, drawn: 0 });
    scroll.addEventListener("scroll", () => {
      this.following = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
    });
    log.addEventListener("click", async (event) => {
      const copy = event.target.closest("button.copy");
      if (copy) actions.copied(await copyText(copy.closest(".code").querySelector("pre code").textContent, copy));
    });
  }

  show(conversation, welcome) {
    this.story = conversation.mode === "story";
    this.views = [];
    this.log.replaceChildren();
    this.log.classList.toggle("story", this.story);
    if (conversation.turns.length === 0) this.log.append(welcome);
    for (const turn of conversation.turns) this.add(turn);
    this.toEnd();
  }

  add(turn) {
    if (this.views.length === 0) this.log.replaceChildren();
    const view = new TurnView(turn, this.views.length, this.story, this.actions);
    this.views.push(view);
    this.log.append(view.element);
    this.toEnd();
    return view;
  }

  // At most once a frame, and less often the longer the text is, so that drawing never takes most of the time.
  redraw(view) {
    if (this.pending) return;
    this.pending = setTimeout(() => {
      this.pending = null;
      view.update();
      if (this.following) this.toEnd();
    }, Math.min(400, 16 + view.turn.text.length / 250));
  }

  toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.following = true;
  }
}
