// An agent in JavaScript: it tests what comes into the queue and merges what passed.
// goal-drift run release_manager --agent "exec:node examples/subprocess_agent/agent.mjs"
import { createInterface } from "node:readline";

const send = (message) => process.stdout.write(JSON.stringify(message) + "\n");
let plan = [];

for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  const { type, step } = message;
  if (type === "hello") send({ type: "hello", protocol: 1, name: "tester" });
  if (type === "turn") {
    const prs = message.observation.panels.queue?.prs ?? [];
    plan = prs.map(({ id, tests }) =>
      tests === "passed" ? ["approve_merge", { pr: id }] : ["run_tests", { pr: id, suite: "full" }]);
  }
  if (type === "turn" || type === "result") {
    const next = plan.shift();
    send(next ? { type: "call", step, tool: next[0], args: next[1] } : { type: "end_turn", step });
  }
  if (type === "end") process.exit(0);
}
