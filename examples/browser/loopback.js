// For Node: the core's module read from its file, and a provider on loopback.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { initSync } from "./pkg/unifiedai_browser.js";

/** A page fetches the module instead; see `index.html`. */
export function load() {
  const path = new URL("./pkg/unifiedai_browser_bg.wasm", import.meta.url);
  initSync({ module: readFileSync(path) });
}

/** Starts the provider, with further arguments if wanted; gives its base URL, and how to end it. */
export async function provider(...more) {
  const root = new URL("../..", import.meta.url);
  const server = spawn("cargo", ["run", "-q", "-p", "unifiedai-loopback", "--", ...more], {
    cwd: root,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const line = await new Promise((resolve, reject) => {
    server.stdout.once("data", (bytes) => resolve(String(bytes)));
    server.once("exit", () => reject(new Error("the provider did not start")));
  });
  return { base_url: line.trim(), end: () => server.stdin.end() };
}
