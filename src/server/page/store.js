// What does the browser keep? Conversations and settings in localStorage, bounded; what is there is checked as it is read.
//
// A conversation: {id, title, updated, mode: "chat" | "story", turns: [{role: "user" | "assistant", text, stats?}]}.

const PREFIX = "bitnet.conversation.";
const SETTINGS = "bitnet.settings";
export const MOST_CONVERSATIONS = 60;
const MOST_BYTES = 2 << 20;  // of one conversation; browsers give about 5 MiB in all

let storage = null;
try {
  storage = window.localStorage;
} catch {
  // Forbidden: everything lives as long as the page.
}

function checked(text) {
  try {
    const found = JSON.parse(text);
    const isTurn = (turn) => (turn.role === "user" || turn.role === "assistant") && typeof turn.text === "string";
    const good = typeof found.id === "string" && typeof found.title === "string" && typeof found.updated === "number" &&
      (found.mode === "chat" || found.mode === "story") && Array.isArray(found.turns) && found.turns.every(isTurn);
    return good ? found : null;
  } catch {
    return null;
  }
}

export function newConversation(mode) {
  const id = Array.from(crypto.getRandomValues(new Uint32Array(3)), (x) => x.toString(36)).join("");
  return { id, title: "", updated: Date.now(), mode, turns: [] };
}

// All that are kept, the newest first.
export function conversations() {
  const all = [];
  for (let i = 0; storage && i < storage.length; ++i) {
    const name = storage.key(i);
    const found = name.startsWith(PREFIX) ? checked(storage.getItem(name)) : null;
    if (found && PREFIX + found.id === name) all.push(found);
  }
  return all.sort((a, b) => b.updated - a.updated);
}

export function remove(id) {
  storage?.removeItem(PREFIX + id);
}

// Keeps it; the oldest others go where there is no room. False when it cannot be kept at all.
export function save(conversation) {
  if (!storage) return false;
  const text = JSON.stringify(conversation);
  if (text.length > MOST_BYTES) return false;
  const others = conversations().filter((other) => other.id !== conversation.id);
  while (others.length >= MOST_CONVERSATIONS) remove(others.pop().id);
  for (;;) {
    try {
      storage.setItem(PREFIX + conversation.id, text);
      return true;
    } catch {
      if (others.length === 0) return false;
      remove(others.pop().id);
    }
  }
}

export function readSettings() {
  try {
    const found = JSON.parse(storage.getItem(SETTINGS));
    return found && typeof found === "object" && !Array.isArray(found) ? found : {};
  } catch {
    return {};
  }
}

export function saveSettings(settings) {
  try {
    storage?.setItem(SETTINGS, JSON.stringify(settings));
  } catch {
    // Full: they last as long as the page.
  }
}

export function saveTheme(theme) {
  try {
    storage?.setItem("bitnet.theme", theme);
  } catch {
    // The same.
  }
}

// The first words, for the list.
export function titleOf(conversation) {
  const text = conversation.turns[0]?.text.trim().replace(/\s+/g, " ") ?? "";
  return text.length > 60 ? `${text.slice(0, 60).replace(/\s\S*$/, "")}\u2026` : text || "Empty";
}

// A story is one text: what both wrote, in order.
export function storyText(turns) {
  return turns.map((turn) => turn.text).join("");
}

// What is written behind a story, with a blank between where neither has one.
export function addedToStory(turns, text) {
  const before = storyText(turns);
  return before && !/\s$/.test(before) && !/^[\s.,;:!?'")\]]/.test(text) ? ` ${text}` : text;
}

export function asMarkdown(conversation) {
  const title = `# ${titleOf(conversation)}\n\n`;
  if (conversation.mode === "story") return `${title}${storyText(conversation.turns)}\n`;
  return title + conversation.turns.map((turn) => `## ${turn.role === "user" ? "You" : "Model"}\n\n${turn.text.trim()}\n`).join("\n");
}

export function asJson(conversation, model) {
  const { title, mode, turns } = conversation;
  const messages = turns.map((turn) => ({ role: turn.role, content: turn.text }));
  return `${JSON.stringify({ format: "bitnet-conversation", version: 1, model, title, mode, updated: new Date(conversation.updated).toISOString(), messages }, null, 2)}\n`;
}
