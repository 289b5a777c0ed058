// The loop that every driver of the core is: ask what to do, do it, say what happened.
// It needs `fetch`, `performance` and timers, which pages, workers and Node have.

import { Chat } from "./pkg/unifiedai_browser.js";

/**
 * Asks, hands out the answer piece by piece, and gives `{ ok: response }`, `{ error }`, or `{ stopped: true }` if `signal` was aborted;
 * throws what cannot be asked.
 * `question` has `base_url`, `model`, `prompt` and, if wanted, `api_key` and `timeout_ms`.
 */
export async function ask(question, { onText = () => {}, onReasoning = () => {}, signal } = {}) {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  const chat = new Chat(JSON.stringify(question), performance.now(), Date.now(), seed);
  const stopped = new Promise((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true }));
  let attempt;
  for (;;) {
    if (signal?.aborted) {
      attempt?.drop();
      chat.free();
      return { stopped: true };
    }
    const step = chat.poll(performance.now());
    switch (step.kind) {
      case "send":
        attempt?.drop();
        attempt = new Attempt(step);
        break;
      case "receive": {
        const tell = await before(step.until, attempt.next, stopped);
        tell?.(chat); // if nothing came, the next poll notices
        break;
      }
      case "sleep":
        attempt?.drop();
        await before(step.until, stopped);
        break;
      case "text":
        onText(step.text);
        break;
      case "reasoning":
        onReasoning(step.text);
        break;
      case "done":
        attempt?.drop();
        return JSON.parse(chat.finish());
    }
  }
}

/** A request that was sent. `next` is a promise of what happens, as a function that tells it to the chat. */
class Attempt {
  #abort = new AbortController();
  #reader;

  constructor({ url, headers, body }) {
    const { signal } = this.#abort;
    // A redirect would take the key along.
    const options = { method: "POST", headers: pairs(headers), body, redirect: "manual", signal };
    this.next = fetch(url, options).then((response) => this.#head(response)).catch(failed);
  }

  drop() {
    this.#abort.abort();
  }

  #head(response) {
    if (response.type === "opaqueredirect") throw new Error("the server redirects");
    // `fetch` has undone what these two are about.
    const about = ([name]) => name !== "content-encoding" && name !== "content-length";
    const headers = [...response.headers].filter(about).flat();
    this.#reader = response.body?.getReader();
    return (chat) => {
      chat.head(response.status, headers, performance.now());
      this.next = this.#read();
    };
  }

  async #read() {
    try {
      const { done, value } = (await this.#reader?.read()) ?? { done: true };
      if (done) return (chat) => chat.end(performance.now());
      return (chat) => {
        chat.body(value, performance.now());
        this.next = this.#read();
      };
    } catch (error) {
      return failed(error);
    }
  }
}

function failed(error) {
  return (chat) => chat.failed(error.message, performance.now());
}

/** What the first of the promises gives, or nothing if all are later than that. */
async function before(until, ...promises) {
  const longest = 2 ** 31 - 1;
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, Math.min(Math.ceil(until - performance.now()), longest));
  });
  try {
    return await Promise.race([...promises, late]);
  } finally {
    clearTimeout(timer);
  }
}

function pairs(flat) {
  return Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at], flat[2 * at + 1]]);
}
