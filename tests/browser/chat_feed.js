// Run in the page by the tests: the next chat completion is answered from here.
// arguments: [status, body]; a null body is a stream that the test feeds through window.feed.push.
const [status, body] = arguments;
const real = window.fetch;
const feed = (window.feed = { requests: [] });
let controller = null;
const stream = new ReadableStream({ start: (given) => (controller = given) });
feed.push = (bytes) => controller.enqueue(Uint8Array.from(bytes));
feed.end = () => controller.close();
window.fetch = async (path, options) => {
  if (!String(path).endsWith("/v1/chat/completions")) return real(path, options);
  window.fetch = (next, given) => {
    if (given?.body) feed.requests.push({ headers: given.headers, body: JSON.parse(given.body) });
    return real(next, given);
  };
  feed.requests.push({ headers: options.headers, body: JSON.parse(options.body) });
  options.signal.addEventListener("abort", () => controller.error(options.signal.reason));
  return new Response(body ?? stream, { status, headers: { "Content-Type": "text/event-stream" } });
};
