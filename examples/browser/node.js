// node examples/browser/node.js [BASE_URL] [MODEL] [PROMPT]: without an address it starts a provider on loopback.

import { ask } from "./drive.js";
import { load, provider } from "./loopback.js";

load();
const [address, model = "gpt-oss-120b", prompt = "Why is fast inference important?"] = process.argv.slice(2);
const server = address ? undefined : await provider();
const question = { base_url: address ?? server.base_url, api_key: process.env.API_KEY, model, prompt };
const { ok, error } = await ask(question, { onText: (text) => process.stdout.write(text) });
console.log(`\n${JSON.stringify(ok?.usage ?? error)}`);
server?.end();
process.exitCode = ok ? 0 : 1;
