// Many Pi agents in one node process: node pi_agents.mjs core|sdk BASE_URL TREES PROMPT
// TREES is a JSON file with one directory for each agent. Prints {"done": N} at the end.
// Lies beside a node_modules with Pi's packages when it runs.

import { readFileSync } from "node:fs";

const [kind, baseUrl, trees, prompt] = process.argv.slice(2);
const cwds = JSON.parse(readFileSync(trees, "utf8"));

/** pi-agent-core: its loop, its wire, its bash tool. Keeps nothing. */
async function makeCore() {
  const { Agent, BACKGROUND_CONTEXT, createBashTool } = await import("@earendil-works/pi-agent-core");
  const { NodeExecutionEnv } = await import("@earendil-works/pi-agent-core/node");
  const { streamSimple } = await import("@earendil-works/pi-ai/api/openai-completions");
  const model = {
    id: "mock", name: "mock", api: "openai-completions", provider: "mock", baseUrl, reasoning: false, input: ["text"],
    cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 }, contextWindow: 128000, maxTokens: 16384,
    compat: { supportsDeveloperRole: false, supportsReasoningEffort: false },
  };
  const inner = createBashTool();
  return (cwd) => {
    const env = new NodeExecutionEnv({ cwd });
    const execute = (id, args, _signal, update) =>
      inner.execute(id, args, update ?? (() => {}), { env }, undefined, BACKGROUND_CONTEXT);
    const tool = { name: inner.name, label: inner.label, description: inner.description, parameters: inner.parameters };
    const agent = new Agent({
      initialState: { systemPrompt: `You are a coding agent in ${cwd}.`, model, tools: [{ ...tool, execute }] },
      streamFn: streamSimple,
      getApiKey: () => "none",
    });
    return async () => {
      await agent.prompt(prompt);
      return !agent.state.errorMessage;
    };
  };
}

/** The SDK's session as it comes: session files, settings, resources, retry, compaction, tools. The models are shared. */
async function makeSdk() {
  const { createAgentSession, ModelRuntime } = await import("@earendil-works/pi-coding-agent");
  const agentDir = process.env.PI_CODING_AGENT_DIR;
  const modelRuntime = await ModelRuntime.create({ authPath: `${agentDir}/auth.json`, modelsPath: `${agentDir}/models.json` });
  const model = modelRuntime.getModel("mock", "mock");
  return async (cwd) => {
    const { session } = await createAgentSession({ cwd, agentDir, modelRuntime, model });
    return async () => {
      await session.prompt(prompt);
      const last = session.messages.at(-1);
      session.dispose();
      return last?.role === "assistant" && last.stopReason === "stop";
    };
  };
}

const make = kind === "core" ? await makeCore() : await makeSdk();
const results = await Promise.allSettled(cwds.map(async (cwd) => (await make(cwd))()));
for (const result of results) if (result.status === "rejected") console.error(String(result.reason));
const done = results.filter((result) => result.status === "fulfilled" && result.value === true).length;
console.log(JSON.stringify({ done }));
