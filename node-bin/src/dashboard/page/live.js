// The stream of what happens, and how the page comes back to it when it breaks.

/** A stream that is silent for so long is broken: its node is dead, paused or far away. */
const SILENCE_MS = 5_000;
const AGAIN_MS = 1_000;
/** However long a node that has enough pages wants to be left alone. */
const AGAIN_MS_MAX = 60_000;
/** A page that nobody has seen for so long gives its stream up: a browser has six connections
 * for one host, and further pages and keys want some. */
const UNSEEN_MS = 5_000;
const HTTP_UNAVAILABLE = 503;

/** Why a stream was refused, which its reader is not told: asks once more without one. Resolves
 * to {isFull, wait_ms}. */
async function refusal() {
  const asking = new AbortController();
  const timer = setTimeout(() => asking.abort(), SILENCE_MS);
  try {
    const { status, headers } = await fetch('/ui/live', { signal: asking.signal });
    const isFull = status === HTTP_UNAVAILABLE;
    const wait_ms = 1000 * (Number(headers.get('retry-after')) || 0);
    return { isFull, wait_ms: Math.max(AGAIN_MS, Math.min(wait_ms, AGAIN_MS_MAX)) };
  } catch {
    return { isFull: false, wait_ms: AGAIN_MS };
  } finally {
    clearTimeout(timer);
    // It may be a stream by now, which is not read here.
    asking.abort();
  }
}

/** Keeps `model` up to date for as long as the page is seen, or `isNeeded()`. */
export function follow(model, isNeeded) {
  let source = null;
  let timer = null;
  /** open, waiting, asleep */
  let state = 'asleep';
  let heard_ms = performance.now();
  let seen_ms = performance.now();

  const open = () => {
    clearTimeout(timer);
    source?.close();
    state = 'open';
    heard_ms = performance.now();
    source = new EventSource('/ui/live');
    listen(source);
  };

  const listen = (stream) => {
    let isNew = true;
    let hasPast = false;
    const on = (name, take) => stream.addEventListener(name, (event) => {
      heard_ms = performance.now();
      take(JSON.parse(event.data));
    });
    on('hello', (hello) => {
      // Another run of the program may be another page; its own files fit it.
      const before = model.hello;
      if (before && before.version !== hello.version) location.reload();
      model.setHello(hello);
      if (isNew) model.forget();
      isNew = false;
    });
    on('state', (told) => {
      model.setConnection('live');
      model.setState(told);
    });
    on('events', (events) => {
      if (hasPast) model.addEvents(events);
      else model.addPast(events);
      hasPast = true;
    });
    on('lines', (lines) => model.addLines(lines));
    stream.onerror = () => lost(stream.readyState === EventSource.CLOSED);
  };

  const lost = async (isRefused) => {
    if (state !== 'open') return;
    state = 'waiting';
    source.close();
    if (!isRefused) model.setConnection('broken');
    const { isFull, wait_ms } = isRefused ? await refusal()
      : { isFull: false, wait_ms: AGAIN_MS };
    if (state !== 'waiting') return;
    model.setConnection(isFull ? 'full' : 'broken');
    clearTimeout(timer);
    timer = setTimeout(open, wait_ms);
  };

  const sleep = () => {
    state = 'asleep';
    clearTimeout(timer);
    source.close();
    model.setConnection('loading');
  };

  setInterval(() => {
    const now = performance.now();
    if (state === 'open' && now - heard_ms > SILENCE_MS) lost(false);
    const isUnseen = document.hidden && now - seen_ms > UNSEEN_MS;
    if (isUnseen && state !== 'asleep' && !isNeeded()) sleep();
  }, 500);
  document.addEventListener('visibilitychange', () => {
    seen_ms = performance.now();
    if (!document.hidden && state === 'asleep') open();
  });
  open();
}
