// node --test examples/browser/page.test.js: the page in a real Chromium, driven by chromedriver, with a provider on loopback.
// Where one of the two programs is not installed the test is skipped, and says so.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { after, before, test } from "node:test";
import { provider } from "./loopback.js";

const installed = (name) => spawnSync(name, ["--version"]).status === 0;
const chromium = ["chromium", "chromium-browser", "google-chrome"].find(installed);
const missing = !chromium ? "Chromium is not installed" : !installed("chromedriver") && "chromedriver is not installed";
const skip = missing ? `skipped: ${missing}` : false;
if (missing) console.log(`skipped: ${missing}, so the page is not opened`);

const types = { html: "text/html", js: "text/javascript", wasm: "application/wasm" };
let loopback, site, driver, session, origin;

before(async () => {
  if (skip) return;
  loopback = await provider("--each", "30"); // milliseconds a token
  const upstream = new URL(loopback.base_url);
  // The page's files, and the provider at the same origin, as a server in front of both would have it.
  site = createServer(async (incoming, response) => {
    if (incoming.url.startsWith("/v1/")) {
      const { method, headers, url: path } = incoming;
      const onward = request({ host: upstream.hostname, port: upstream.port, path, method, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      onward.on("error", () => response.destroy());
      response.on("close", () => onward.destroy());
      incoming.pipe(onward);
      return;
    }
    try {
      const name = incoming.url === "/" ? "/index.html" : incoming.url;
      const bytes = await readFile(new URL(`.${name}`, import.meta.url));
      response.writeHead(200, { "content-type": types[name.split(".").pop()] }).end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  }).listen(0, "127.0.0.1");
  await once(site, "listening");
  origin = `http://127.0.0.1:${site.address().port}`;

  driver = spawn("chromedriver", ["--port=0"], { stdio: ["ignore", "pipe", "ignore"] });
  let said = "";
  const port = await new Promise((resolve, reject) => {
    driver.stdout.on("data", (bytes) => {
      const found = (said += bytes).match(/started successfully on port (\d+)/);
      if (found) resolve(found[1]);
    });
    driver.once("exit", () => reject(new Error(`chromedriver ended: ${said}`)));
  });
  const args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
  const options = { args, ...(chromium === "chromium" ? { binary: "/usr/bin/chromium" } : {}) };
  const capabilities = { alwaysMatch: { "goog:chromeOptions": options } };
  session = `http://127.0.0.1:${port}/session`;
  const { sessionId } = await command("", { capabilities });
  session += `/${sessionId}`;
  await command("/url", { url: origin });
  await until(() => run("return document.body.dataset.ready === 'yes'"), "the page is ready");
});

after(async () => {
  if (session) await fetch(session, { method: "DELETE" }).catch(() => {});
  driver?.kill();
  site?.closeAllConnections();
  site?.close();
  loopback?.end();
});

async function command(path, body) {
  const response = await fetch(session + path, { method: "POST", body: JSON.stringify(body) });
  const { value } = await response.json();
  if (value?.error) throw new Error(`${value.error}: ${value.message}`);
  return value;
}

const run = (script, ...args) => command("/execute/sync", { script, args });
const answer = () => run("return document.querySelector('pre').textContent");

async function until(what, name) {
  const end = Date.now() + 30_000;
  while (!(await what())) {
    assert.ok(Date.now() < end, `${name}: not within 30 s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Types into the form as a person does, and clicks the first button. */
async function ask(fields) {
  for (const [name, text] of Object.entries({ base_url: `${origin}/v1`, api_key: "any-key", ...fields })) {
    const element = await find(`[name=${name}]`);
    await command(`/element/${element}/clear`, {});
    await command(`/element/${element}/value`, { text });
  }
  await click("button:first-of-type");
}

async function find(selector) {
  return Object.values(await command("/element", { using: "css selector", value: selector }))[0];
}

async function click(selector) {
  await command(`/element/${await find(selector)}/click`, {});
}

test("an answer streams into the page", { skip }, async () => {
  await ask({ model: "gpt-4.1-mini", prompt: "Why is fast inference important?" });
  const seen = new Set();
  await until(async () => {
    const text = await answer();
    if (text) seen.add(text.length);
    return seen.size >= 5;
  }, "five states of the answer");
  assert.match(await answer(), /^Fast inference/);
  await click("button:last-of-type");
  await until(async () => (await answer()).endsWith("[stopped]"), "the end");
});

test("an answer comes to its end", { skip }, async () => {
  await ask({ model: "gpt-oss-120b", prompt: "Why is fast inference important?" });
  await until(async () => (await answer()).endsWith("reach for."), "the end of the answer");
  await until(() => run("return document.querySelectorAll('button')[1].disabled"), "no answer is running");
});

test("an answer is stopped half way, and what came stays", { skip }, async () => {
  await ask({ model: "gpt-4.1-mini", prompt: "Why is fast inference important?" });
  await until(async () => (await answer()).length > 20, "some of the answer");
  await click("button:last-of-type");
  await until(async () => (await answer()).endsWith(" [stopped]"), "the end");
  const text = await answer();
  assert.ok(text.length > 20 && !text.includes("reach for"), text);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(await answer(), text, "nothing comes after it was stopped");
});

test("a wrong key is an error in words", { skip }, async () => {
  await ask({ model: "gpt-oss-120b", api_key: "wrong", prompt: "Hello?" });
  await until(async () => (await answer()).includes("authentication"), "the error");
  assert.match(await answer(), /^\nauthentication: ./);
});
