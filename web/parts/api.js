// The daemon's REST surface, as the page asks it: with the session's cookie, and for whatever changes
// something with the token that proves that the page is ours.

/** Works below a prefix as well: the page's own place is known from this file's. */
export const base = new URL("../../", import.meta.url);

let csrfToken = null;
export function setToken(token) { csrfToken = token ?? null; }

/** Told when the session is not known any more. */
export const lost = { session: () => {} };

export class Failure extends Error {
  constructor(status, body) {
    super(body?.message || body?.error || (status ? `The daemon answered ${status}.` : "The daemon does not answer."));
    this.status = status;
    this.body = body;
  }
}

function request(method, path, body, signal) {
  const headers = {};
  if (csrfToken && method !== "GET") headers["X-CSRF-Token"] = csrfToken;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return fetch(new URL(path, base), {
    method, headers, signal, cache: "no-store", credentials: "same-origin",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

async function read(response) {
  const text = await response.text();
  try { return text ? JSON.parse(text) : null; } catch { return { message: text.slice(0, 500) }; }
}

/** The answer's JSON; throws `Failure` for everything that is not a success. */
export async function ask(method, path, body, { signal, keepsSession = false } = {}) {
  let response;
  try {
    response = await request(method, path, body, signal);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure(0, null);
  }
  const value = await read(response);
  if (response.ok) return value;
  if (response.status === 401 && !keepsSession) lost.session();
  throw new Failure(response.status, value);
}

export const get = (path, options) => ask("GET", path, undefined, options);
export const post = (path, body, options) => ask("POST", path, body, options);
export const put = (path, body, options) => ask("PUT", path, body, options);
export const remove = (path, options) => ask("DELETE", path, undefined, options);

/** Text as it is, for what is not JSON. */
export async function text(path) {
  const response = await request("GET", path);
  if (!response.ok) throw new Failure(response.status, null);
  return response.text();
}

/** Server-sent events of an answer to a POST: `take(name, data)` for each. */
export async function stream(path, body, take, signal) {
  const response = await request("POST", path, body, signal);
  if (!response.ok) {
    const value = await read(response);
    if (response.status === 401) lost.session();
    throw new Failure(response.status, value);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      let name = "message", data = "";
      for (const line of event.split("\n")) {
        if (line.startsWith("event:")) name = line.slice(6).trim();
        else if (line.startsWith("data:")) data += line.slice(5).trim();
      }
      if (data) take(name, JSON.parse(data));
    }
  }
}

/** A query of what is set. */
export function query(values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return pairs.length ? "?" + new URLSearchParams(pairs) : "";
}
