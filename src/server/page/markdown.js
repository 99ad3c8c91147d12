// What does a model's Markdown look like? Text to DOM nodes: no text ever becomes markup, so nothing in it can act.
//
// Blocks: paragraphs, headings, fenced code, quotes, nested lists, tables, rules. Inline: code, emphasis, strong, struck out, links
// to http and https, line breaks. HTML stays text; images become links, since the page asks nobody else for anything. Every loop
// goes forward and nesting is bounded, so any text takes time about linear in its length.

const MOST_DEPTH = 8;

const FENCE = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*))?$/;
const RULE = /^ {0,3}(?:\*[ \t]*){3,}$|^ {0,3}(?:-[ \t]*){3,}$|^ {0,3}(?:_[ \t]*){3,}$/;
const ITEM = /^( *)(?:([-*+])|(\d{1,9})[.)])(?: +(.*))?$/;
const EMPHASIS = [["***", "strong", "em"], ["**", "strong"], ["__", "strong"], ["~~", "s"], ["*", "em"], ["_", "em"]];
const DELIMITER = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

function element(name, children = [], attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// The address of a link that may be followed, else null.
export function safeAddress(text) {
  if (!/^https?:\/\//i.test(text) || /[\s\u0000-\u001f<>"]/.test(text)) return null;
  try {
    const address = new URL(text);
    return address.protocol === "http:" || address.protocol === "https:" ? address.href : null;
  } catch {
    return null;
  }
}

function link(children, address) {
  return element("a", children, { href: address, rel: "noopener noreferrer nofollow ugc", target: "_blank" });
}

// "[label](address)" or "![label](address)" at `at`, which is the place of "[": where it ends, label and address; or null.
function linkAt(text, at) {
  let depth = 0;
  let end = at;
  const most = Math.min(text.length, at + 2000);
  for (; end < most; ++end) {
    if (text[end] === "\\") ++end;
    else if (text[end] === "[") ++depth;
    else if (text[end] === "]" && --depth === 0) break;
  }
  if (end >= most || text[end + 1] !== "(") return null;
  let close = end + 2;
  let open = 1;
  const last = Math.min(text.length, close + 2000);
  for (; close < last; ++close) {
    if (text[close] === "\n") return null;
    if (text[close] === "(") ++open;
    if (text[close] === ")" && --open === 0) break;
  }
  if (close >= last) return null;
  const target = text.slice(end + 2, close).trim().replace(/\s+(?:"[^"]*"|'[^']*')$/, "");
  return { end: close + 1, label: text.slice(at + 1, end), address: target.replace(/^<(.*)>$/, "$1") };
}

// Where emphasis that opens at `at` with `mark` closes; -1 when it does not.
function closing(text, at, mark) {
  const first = text[at + mark.length];
  if (first === undefined || /\s/.test(first)) return -1;
  if (mark[0] === "_" && at > 0 && /[\p{L}\p{N}]/u.test(text[at - 1])) return -1;
  const most = Math.min(text.length, at + 1000);
  for (let i = at + mark.length + 1; i < most; ++i) {
    if (text[i - 1] === "\\" || !text.startsWith(mark, i) || /\s/.test(text[i - 1])) continue;
    const after = text[i + mark.length];
    if (mark.length === 1 && (after === mark || text[i - 1] === mark)) continue;
    if (mark[0] === "_" && after !== undefined && /[\p{L}\p{N}]/u.test(after)) continue;
    return i;
  }
  return -1;
}

// Appends what stands at text[at], and gives the place behind it; 0 when it is no mark but plain text.
function takeMark(text, at, out, depth) {
  const c = text[at];
  if (c === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) {
    out.push(text[at + 1]);
    return at + 2;
  }
  if (c === "`") {
    const ticks = /^`+/.exec(text.slice(at, at + 32))[0];
    const close = text.indexOf(ticks, at + ticks.length);
    if (close < 0) return 0;
    out.push(element("code", [text.slice(at + ticks.length, close).replace(/\n/g, " ").replace(/^ (.+) $/, "$1")]));
    return close + ticks.length;
  }
  if (c === "[" || (c === "!" && text[at + 1] === "[")) {
    const found = linkAt(text, c === "!" ? at + 1 : at);
    const address = found && safeAddress(found.address);
    if (!address) return 0;
    out.push(link(inline(found.label || address, depth + 1, true), address));
    return found.end;
  }
  if (c === "<") {
    const end = text.indexOf(">", at);
    const address = end > 0 && end - at < 2000 ? safeAddress(text.slice(at + 1, end)) : null;
    if (!address) return 0;
    out.push(link([text.slice(at + 1, end)], address));
    return end + 1;
  }
  for (const [mark, name, within] of EMPHASIS) {
    if (!text.startsWith(mark, at)) continue;
    const end = closing(text, at, mark);
    if (end < 0) continue;
    const content = inline(text.slice(at + mark.length, end), depth + 1);
    out.push(element(name, within ? [element(within, content)] : content));
    return end + mark.length;
  }
  if (c === "h" && (at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1]))) {
    const found = /^https?:\/\/[^\s<>"'`*]{1,2000}/i.exec(text.slice(at, at + 2010));
    const shown = found && found[0].replace(/[.,:;!?)\]]+$/, "");
    const address = shown && safeAddress(shown);
    if (!address) return 0;
    out.push(link([shown], address));
    return at + shown.length;
  }
  if (c === "\n") {
    out.push(element("br"));
    return at + 1;
  }
  return 0;
}

// Nodes and strings of a run of text. Inside a link there is no other link.
function inline(text, depth = 0, inLink = false) {
  if (depth > MOST_DEPTH) return [text];
  const out = [];
  let plain = 0;
  for (let at = 0; at < text.length;) {
    const c = text[at];
    if (!"\\`[!<*_~h\n".includes(c) || (inLink && "[!<h".includes(c))) {
      ++at;
      continue;
    }
    const before = text.slice(plain, at);
    const made = [];
    const next = takeMark(text, at, made, depth);
    if (next === 0) {
      // A run of one mark that does not open is plain as a whole, or each of its characters would search anew.
      do ++at; while (c !== "[" && text[at] === c);
      continue;
    }
    if (before) out.push(before);
    out.push(...made);
    at = plain = next;
  }
  if (plain < text.length) out.push(text.slice(plain));
  return out;
}

function codeBlock(text, language) {
  const copy = element("button", ["Copy"], { type: "button", class: "copy", "aria-label": "Copy this code" });
  const name = element("span", [language || "text"], { class: "language" });
  return element("div", [element("div", [name, copy], { class: "code-top" }),
    element("pre", [element("code", [text])], { tabindex: "0", "aria-label": language ? `Code, ${language}` : "Code", role: "region" })],
  { class: "code" });
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  const out = [""];
  for (let i = 0; i < inner.length; ++i) {
    if (inner[i] === "\\" && inner[i + 1] === "|") out[out.length - 1] += inner[++i];
    else if (inner[i] === "|") out.push("");
    else out[out.length - 1] += inner[i];
  }
  return out.map((cell) => cell.trim());
}

function table(lines, at, out) {
  const heads = cells(lines[at]);
  const marks = cells(lines[at + 1]);
  if (heads.length !== marks.length || heads.length > 64) return 0;
  const align = marks.map((mark) => (mark.endsWith(":") ? (mark.startsWith(":") ? "center" : "right") : "left"));
  const row = (name, values) => element("tr", heads.map((_, i) =>
    element(name, inline(values[i] ?? ""), { class: align[i], ...(name === "th" ? { scope: "col" } : {}) })));
  const body = element("tbody");
  let next = at + 2;
  for (; next < lines.length && lines[next].trim() && lines[next].includes("|"); ++next) body.append(row("td", cells(lines[next])));
  out.push(element("div", [element("table", [element("thead", [row("th", heads)]), body])], { class: "table", tabindex: "0", role: "region", "aria-label": "Table" }));
  return next;
}

// A list that begins at line `at`; items hold blocks of their own.
function list(lines, at, out, depth) {
  const first = ITEM.exec(lines[at]);
  const ordered = first[3] !== undefined;
  const made = element(ordered ? "ol" : "ul", [], ordered && first[3] !== "1" ? { start: first[3] } : {});
  const indent = first[1].length;
  let next = at;
  while (next < lines.length) {
    const match = ITEM.exec(lines[next]);
    if (!match || match[1].length > indent + 1 || match[1].length < indent || (match[3] !== undefined) !== ordered || RULE.test(lines[next])) break;
    const item = [match[4] ?? ""];
    const inner = indent + (ordered ? match[3].length + 2 : 2);
    for (++next; next < lines.length; ++next) {
      const line = lines[next];
      if (!line.trim()) {
        const beyond = lines[next + 1];
        if (beyond === undefined || !/^\s+\S/.test(beyond) || beyond.search(/\S/) < Math.min(inner, indent + 2)) break;
        item.push("");
        continue;
      }
      const depthOfLine = line.search(/\S/);
      if (depthOfLine >= indent + 2) item.push(line.slice(Math.min(inner, depthOfLine)));
      else if (ITEM.test(line) || starts(lines, next)) break;
      else item.push(line.trimStart());
    }
    const content = blocks(item, depth + 1);
    const tight = content.length > 0 && content[0].tagName === "P" ? [...content[0].childNodes, ...content.slice(1)] : content;
    made.append(element("li", tight));
    while (next < lines.length && !lines[next].trim() && ITEM.test(lines[next + 1] ?? "")) ++next;
  }
  out.push(made);
  return next;
}

// Does a block other than a paragraph begin at this line?
function starts(lines, at) {
  const line = lines[at];
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || ITEM.test(line) || /^ {0,3}>/.test(line) ||
    (line.includes("|") && DELIMITER.test(lines[at + 1] ?? ""));
}

function fenced(lines, at, out, match) {
  const body = [];
  let next = at + 1;
  for (; next < lines.length; ++next) {
    const line = lines[next].trim();
    if (line.startsWith(match[1]) && line.replaceAll(match[1][0], "") === "") break;
    body.push(lines[next]);
  }
  out.push(codeBlock(body.join("\n"), match[2].trim().split(" ")[0].slice(0, 40)));
  return next + 1;
}

// Appends the block at line `at`, and gives the line behind it.
function block(lines, at, out, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return fenced(lines, at, out, fence);
  const heading = HEADING.exec(line);
  if (heading) {
    // The page has its own headings 1 and 2.
    const level = Math.min(6, heading[1].length + 2);
    out.push(element(`h${level}`, inline((heading[2] ?? "").trimEnd().replace(/ #{1,20}$/, "").trimEnd())));
    return at + 1;
  }
  if (RULE.test(line)) {
    out.push(element("hr"));
    return at + 1;
  }
  if (/^ {0,3}>/.test(line)) {
    const inner = [];
    let next = at;
    for (; next < lines.length && /^ {0,3}>/.test(lines[next]); ++next) inner.push(lines[next].replace(/^ {0,3}> ?/, ""));
    out.push(element("blockquote", blocks(inner, depth + 1)));
    return next;
  }
  if (ITEM.test(line)) return list(lines, at, out, depth);
  if (line.includes("|") && DELIMITER.test(lines[at + 1] ?? "")) {
    const next = table(lines, at, out);
    if (next) return next;
  }
  const text = [line.trimStart()];
  let next = at + 1;
  for (; next < lines.length && lines[next].trim() && !starts(lines, next); ++next) text.push(lines[next].trimStart());
  out.push(element("p", inline(text.join("\n").trimEnd())));
  return next;
}

function blocks(lines, depth) {
  const out = [];
  if (depth > MOST_DEPTH) return [element("p", [lines.join("\n")])];
  for (let at = 0; at < lines.length;) {
    if (lines[at].trim()) at = block(lines, at, out, depth);
    else ++at;
  }
  return out;
}

// The nodes of a whole text.
export function render(text) {
  return blocks(text.replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n"), 0);
}
