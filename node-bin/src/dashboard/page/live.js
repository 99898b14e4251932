// The stream of what happens, and how the page comes back to it when it breaks.

/** A stream that is silent for so long is broken: its node is dead, paused or far away. */
const SILENCE_MS = 5_000;
const AGAIN_MS = 1_000;

/** Keeps `model` up to date for as long as the page is open. */
export function follow(model) {
  let source = null;
  let heard_ms = performance.now();
  let again = null;

  const open = () => {
    again = null;
    heard_ms = performance.now();
    source = new EventSource('/ui/live');
    const on = (name, take) => source.addEventListener(name, (event) => {
      heard_ms = performance.now();
      take(JSON.parse(event.data));
    });
    on('hello', (hello) => {
      // Another run of the program may be another page; its own files fit it.
      const before = model.hello;
      if (before && before.version !== hello.version) location.reload();
      model.setHello(hello);
    });
    on('state', (state) => {
      model.setConnection('live');
      model.setState(state);
    });
    on('events', (events) => model.addEvents(events));
    on('lines', (lines) => model.addLines(lines));
    source.onerror = () => broken();
  };

  const broken = () => {
    source.close();
    model.setConnection('broken');
    again ??= setTimeout(open, AGAIN_MS);
  };

  setInterval(() => {
    if (again === null && performance.now() - heard_ms > SILENCE_MS) broken();
  }, 500);
  open();
}
