// node --test examples/browser/test.js: chats over `fetch`, with a provider on loopback.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ask } from "./drive.js";
import { load, provider } from "./loopback.js";

let server;
before(async () => {
  load();
  server = await provider();
});
after(() => server.end());

const question = (model, more) => ({
  base_url: server.base_url,
  api_key: "any-key",
  prompt: "Why is fast inference important?",
  model,
  ...more,
});

test("an answer comes piece by piece", async () => {
  const [texts, thoughts] = [[], []];
  const hear = { onText: (text) => texts.push(text), onReasoning: (text) => thoughts.push(text) };
  const { ok } = await ask(question("gpt-oss-120b"), hear);
  const [{ message, finish_reason }] = ok.choices;
  assert.ok(texts.length > 10, `${texts.length} pieces`);
  assert.equal(texts.join(""), message.content);
  assert.equal(thoughts.join(""), message.reasoning);
  assert.equal(finish_reason, "stop");
  assert.ok(ok.usage.completion_tokens > 0);
  assert.ok(ok.metrics.ttft_ms >= ok.metrics.ttfb_ms && ok.metrics.ttfb_ms > 0);
});

test("what fails first is tried again", async () => {
  const { ok, error } = await ask(question("fault-status-503+retry-after=0,ok@again"));
  assert.equal(ok?.metrics.attempts, 2, error?.message);
});

test("a wrong key is an error in the provider's words", async () => {
  const { error } = await ask(question("gpt-oss-120b", { api_key: "wrong" }));
  assert.deepEqual([error.kind, error.status], ["authentication", 401]);
  assert.ok(error.message);
});

test("a stream that is cut is no answer, and what came is kept", async () => {
  for (const fault of ["cut-clean-at-5", "reset-at-5"]) {
    const texts = [];
    const { error } = await ask(question(`fault-${fault}`), { onText: (text) => texts.push(text) });
    assert.equal(error.kind, "truncated", fault);
    assert.equal(error.partial_text, texts.join(""));
  }
});

test("silence ends at the deadline, before the head and behind it", async () => {
  for (const fault of ["stall-head", "stall-at-3"]) {
    const began = performance.now();
    const { error } = await ask(question(`fault-${fault}`, { timeout_ms: 300 }));
    const took = performance.now() - began;
    assert.equal(error.kind, "timeout", fault);
    assert.ok(took >= 300 && took < 5000, `${fault} took ${took} ms`);
  }
});

test("nobody there, and a redirect, are errors", async () => {
  const nobody = await ask(question("m", { base_url: "http://127.0.0.1:9/v1" }));
  assert.equal(nobody.error.kind, "connection");
  const elsewhere = await ask(question("fault-redirect-307"));
  assert.equal(elsewhere.error.kind, "redirect");
});

test("what cannot be asked throws", async () => {
  await assert.rejects(ask(question("m", { base_url: "ftp://127.0.0.1" })), /the base URL/);
});
