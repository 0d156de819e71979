// A bot that stands at Switchboard's NATS by itself: it answers customers who
// ask for their order. Each message is answered once, also when the bot is
// killed: an event stays Switchboard's until it is acknowledged, which is after
// its answer was accepted, and an answer that comes twice under one id is sent once.

import { connect } from "nats";
import { setTimeout as sleep } from "node:timers/promises";

const bot = process.env.BOT_NAME ?? "order-bot"; // as under bots: in switchboard.yaml
const prefix = process.env.SWITCHBOARD_PREFIX ?? "switchboard";

// answer is what to say to a customer's message; undefined: nothing.
function answer(message) {
  const order = /order\s+(\d+)/i.exec(message.content);
  return order && `Order ${order[1]} is on its way.`;
}

const nc = await connect({
  servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  user: bot,
  pass: process.env.BOT_PASSWORD,
  name: bot,
  maxReconnectAttempts: -1,
  waitOnFirstConnect: true,
});
const js = nc.jetstream();

// The consumer is there already, with the bot's name: Switchboard makes it, with
// the events that were granted, and keeps its place.
const consumer = await js.consumers.get(`${prefix.toUpperCase()}_EVENTS`, bot);
const events = await consumer.consume({ max_messages: 50 });

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => events.close());

for await (const event of events) await handle(event);
await nc.drain();

async function handle(event) {
  const h = event.headers;
  // What the bot itself has caused comes back to it as an event, too.
  if (h.get("switchboard-by") === bot) return event.ack();
  const message = JSON.parse(event.string());
  const text = message.sender_type === "Contact" && answer(message);
  if (!text) return event.ack();

  // account and conversation as they are in the event's subject, where odd
  // characters are escaped already.
  const [, , account, conversation] = event.subject.split(".");
  await act(event, `${prefix}.action.${account}.${conversation}.send_message`, { content: text }, `reply/${h.get("ce-id")}`);
}

// act sends an action and acknowledges its event. What may work later is tried
// again here, and nothing later is begun: so a conversation keeps its order.
async function act(event, subject, body, id) {
  for (let pause = 250; ; pause = Math.min(pause * 2, 10_000)) {
    try {
      await js.publish(subject, JSON.stringify(body), { msgID: id });
      return event.ack();
    } catch (err) {
      // 429 too fast or too many, 503 not now, or no answer at all: later. Else the
      // same again is no use: 400 wrong, 403 not granted, 404 no such account, 409
      // the id was another action's, 508 bots answer each other.
      const code = err.api_error?.code;
      if (code && code !== 429 && code !== 503) {
        console.error(`${id} was refused: ${err.message}`);
        return event.term(err.message);
      }
      console.error(`${id} is tried again: ${err.message}`);
      event.working();
      await sleep(pause);
    }
  }
}
