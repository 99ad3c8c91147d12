// How does the page talk to the server? JSON and streams of server-sent events, from its own origin only; the key when it is asked for.

const KEY = "bitnet.key";

// What went wrong, in words for the reader. status 0: no answer came.
export class RequestError extends Error {
  constructor(status, message, code = null, retryAfter = null) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

function key() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

export function setKey(value) {
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    throw new RequestError(0, "This browser keeps no session storage, so the key cannot be kept");
  }
}

async function errorOf(response) {
  let message = `The server answered ${response.status}`;
  let code = null;
  try {
    const { error } = await response.json();
    if (typeof error.message === "string") message = error.message;
    code = error.code;
  } catch {
    // No JSON: the status has to do.
  }
  const seconds = Number(response.headers.get("Retry-After"));
  return new RequestError(response.status, message, code, seconds > 0 ? seconds : null);
}

async function request(path, options = {}) {
  const headers = { ...options.headers };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, credentials: "same-origin", cache: "no-store", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError(0, "The server cannot be reached");
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

export async function getJson(path) {
  return (await request(path)).json();
}

function post(path, body, signal) {
  return request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });
}

export async function postJson(path, body) {
  return (await post(path, body)).json();
}

// Posts `body`, and calls onEvent with the data of each event as it comes. Ends with the stream; throws RequestError, also for an
// error within the stream and for a stream that breaks off, and AbortError when `signal` stops it.
export async function stream(path, body, signal, onEvent) {
  const response = await post(path, { ...body, stream: true, stream_options: { include_usage: true } }, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new RequestError(0, "The connection broke off before the answer ended");
    }
    if (part.done) throw new RequestError(0, "The connection ended before the answer did");
    const events = (waiting + part.value).split("\n\n");
    waiting = events.pop();
    for (const event of events) {
      if (!event.startsWith("data: ")) continue;  // a comment that keeps the line alive
      const data = event.slice(6);
      if (data === "[DONE]") return;
      const parsed = JSON.parse(data);
      if (parsed.error) throw new RequestError(500, parsed.error.message ?? "The answer failed", parsed.error.code);
      onEvent(parsed);
    }
  }
}
