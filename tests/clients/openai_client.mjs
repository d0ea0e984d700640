// Drives a running server with the official `openai` client for Node, unchanged.
//
//     npm install openai
//     node tests/clients/openai_client.mjs FOLDER_WITH_NODE_MODULES http://127.0.0.1:8080/v1 \
//         smollm2-135m-instruct multilingual-e5-small
//
// Prints one line for each check and `N passed, N failed` at the end; exits with 1 when a check
// failed.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [folder, baseURL, model, embedder] = process.argv.slice(2);
const OpenAI = createRequire(`${folder}/`)("openai").default;
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0, timeout: 300_000 });

const question = [{ role: "user", content: "Name a colour." }];
const ask = (changes = {}) =>
  client.chat.completions.create({
    model,
    messages: question,
    temperature: 0,
    max_tokens: 16,
    ...changes,
  });

const checks = {
  async "models are listed"() {
    const ids = [];
    for await (const one of client.models.list()) ids.push(one.id);
    assert(ids.includes(model) && ids.includes(embedder), ids.join());
  },
  async "chat answers"() {
    const answer = await ask();
    assert(answer.choices[0].message.content);
    assert(answer.usage.completion_tokens <= 16);
  },
  async "a stream says what the answer says"() {
    const stream = await ask({ stream: true, stream_options: { include_usage: true } });
    let [text, usage] = ["", null];
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, (await ask()).choices[0].message.content);
    assert(usage.completion_tokens > 0);
  },
  async "a stream's helper gathers it"() {
    const runner = client.chat.completions.stream({ model, messages: question, max_tokens: 16 });
    const completion = await runner.finalChatCompletion();
    assert(completion.choices[0].message.content);
  },
  async "a stream can be left"() {
    const stream = await ask({ stream: true, max_tokens: 2000 });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 3) break;
    assert((await ask()).choices[0].message.content);
  },
  async "an answer follows a schema"() {
    const schema = {
      type: "object",
      properties: { name: { type: "string", maxLength: 20 }, warm: { type: "boolean" } },
      required: ["name", "warm"],
      additionalProperties: false,
    };
    const json_schema = { name: "colour", strict: true, schema };
    const answer = await ask({
      response_format: { type: "json_schema", json_schema },
      max_tokens: 200,
    });
    const read = JSON.parse(answer.choices[0].message.content);
    assert.equal(typeof read.name, "string");
    assert.equal(typeof read.warm, "boolean");
  },
  async "completions answer"() {
    const answer = await client.completions.create({ model, prompt: "One, two,", max_tokens: 4 });
    assert(answer.choices[0].text);
  },
  async "embeddings are the same in both encodings"() {
    const request = { model: embedder, input: ["peace", "war"] };
    // The client asks for base64 by itself and takes it apart.
    const packed = await client.embeddings.create(request);
    const plain = await client.embeddings.create({ ...request, encoding_format: "float" });
    assert.equal(packed.data.length, 2);
    packed.data[1].embedding.forEach((x, i) => {
      assert(Math.abs(x - plain.data[1].embedding[i]) < 1e-6);
    });
  },
  async "responses answer and stream"() {
    const request = { model, input: "Name a colour.", max_output_tokens: 16, temperature: 0 };
    const answer = await client.responses.create(request);
    assert(answer.output_text);
    let text = "";
    for await (const event of await client.responses.create({ ...request, stream: true })) {
      if (event.type === "response.output_text.delta") text += event.delta;
    }
    assert.equal(text, answer.output_text);
  },
  async "refusals name the field"() {
    await assert.rejects(ask({ temperature: 9 }), (error) => {
      return error instanceof OpenAI.BadRequestError && error.param === "temperature";
    });
    await assert.rejects(ask({ model: "none" }), OpenAI.NotFoundError);
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}`);
    console.error(error);
  }
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
