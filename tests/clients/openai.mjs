// The openai package for JavaScript: prints what it got, as JSON, for test_openai_js.py to look at.
import OpenAI from "openai";

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "Once upon a time" }];
const found = {};

found.models = (await client.models.list()).data.map((entry) => entry.id);
const settings = { model, messages, max_tokens: 20, seed: 3 };
found.whole = (await client.chat.completions.create(settings)).choices[0].message.content;
found.streamed = "";
for await (const chunk of await client.chat.completions.create({ ...settings, stream: true })) found.streamed += chunk.choices[0]?.delta?.content ?? "";

const parameters = { type: "object", properties: { city: { enum: ["Rome", "Oslo"] } }, required: ["city"], additionalProperties: false };
const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
const runner = client.chat.completions.stream({ model, messages, tools, tool_choice: "required", parallel_tool_calls: false, max_tokens: 200 });
const call = (await runner.finalChatCompletion()).choices[0].message.tool_calls[0];
found.call = { name: call.function.name, arguments: JSON.parse(call.function.arguments) };

found.embedding = (await client.embeddings.create({ model, input: "a fox" })).data[0].embedding.length;
found.events = [];
const stream = client.responses.stream({ model, input: "Once upon a time", max_output_tokens: 20 });
found.response = "";
for await (const event of stream) {
  found.events.push(event.type);
  if (event.type === "response.output_text.delta") found.response += event.delta;
}
try {
  await client.chat.completions.create({ ...settings, temperature: -1 });
} catch (error) {
  found.error = { status: error.status, param: error.param, type: error.constructor.name };
}
console.log(JSON.stringify(found));
