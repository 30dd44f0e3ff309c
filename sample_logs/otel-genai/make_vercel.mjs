// The ferry desk with the Vercel AI SDK; `make_vercel.py` runs this against the model server.
//
//     npm install ai@6.0.326 @ai-sdk/openai@3.0.141 zod @opentelemetry/sdk-trace-node@2.12.0 \
//         @opentelemetry/otlp-transformer@0.223.1
//
// Writes one OTLP/JSON export a line to the file that is named second.

import { appendFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const [, , url, path, modules] = process.argv
const load = createRequire(modules + '/')
const { createOpenAI } = load('@ai-sdk/openai')
const { generateText, generateObject, tool, stepCountIs, Output } = load('ai')
const { z } = load('zod')
const { JsonTraceSerializer } = load('@opentelemetry/otlp-transformer')
const { NodeTracerProvider, SimpleSpanProcessor } = load('@opentelemetry/sdk-trace-node')

const exporter = {
  export(spans, done) {
    const text = Buffer.from(JsonTraceSerializer.serializeRequest(spans)).toString()
    appendFileSync(path, text + '\n')
    done({ code: 0 })
  },
  shutdown: async () => {},
}
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
provider.register()

const openai = createOpenAI({ baseURL: url + '/v1', apiKey: 'none' })
const times = { Skagen: ['07:40', '13:15'], Moss: ['09:05'] }
const tools = {
  find_ferries: tool({
    description: 'Lists the departures to a port.',
    inputSchema: z.object({ port: z.string(), limit: z.number().int().optional() }),
    execute: async ({ port }) => {
      if (!(port in times)) throw new Error(`no port ${port}`)
      return times[port]
    },
  }),
}
const telemetry = {
  isEnabled: true,
  metadata: { sessionId: 'desk-4' },
  tracer: provider.getTracer('ferry-desk'),
}
await generateText({
  model: openai.chat('misstep-sample'),
  system: 'You are the desk of a small ferry line.',
  prompt: 'Desk 4: When do ferries leave for Oslo and Moss?',
  tools,
  stopWhen: stepCountIs(6),
  maxRetries: 0,
  experimental_telemetry: telemetry,
})
await generateObject({
  model: openai.chat('misstep-sample'),
  schema: z.object({ port: z.string(), seats: z.number().int() }),
  prompt: 'Desk 4: "Two to Moss, please." Fill in the form.',
  maxRetries: 0,
  experimental_telemetry: telemetry,
}).catch(() => {})
await provider.shutdown()
