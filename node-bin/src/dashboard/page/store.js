// Keys of the cluster over HTTP, as docs/http.md has them.

/** A cluster that is frozen or has no leader answers late or never. */
const ASK_MS = 15_000;

/** As many keys are asked for at once. */
const PART_KEYS_MAX = 10_000;

const TEXT = new TextEncoder();

/** The bytes that Base64 stands for. */
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** A key is text, or bytes in Base64 where it is no text: {text} or {base64}. */
export function keyOf(shown) {
  return shown.key_base64 === undefined ? { text: shown.key } : { base64: shown.key_base64 };
}

/** A key for people. */
export function nameOf(key) {
  return key.text ?? `base64:${key.base64}`;
}

/** The address of a key. Every byte that is no letter or digit is encoded, so that no part of a
 * key is taken for a part of the address. */
export function addressOf(key) {
  const raw = key.text === undefined ? bytesOf(key.base64) : TEXT.encode(key.text);
  let path = '/kv/';
  for (const byte of raw) {
    const letter = String.fromCharCode(byte);
    path += /[A-Za-z0-9_~-]/.test(letter) ? letter : `%${byte.toString(16).padStart(2, '0')}`;
  }
  return path;
}

/** Whether a browser would take the key out of its address before it asks for it. */
export function isUnreachable(key) {
  return key.text === '.' || key.text === '..';
}

async function ask(address, { within_ms = ASK_MS, signal, ...options } = {}) {
  let answer;
  const ends = [AbortSignal.timeout(within_ms), signal].filter(Boolean);
  try {
    answer = await fetch(address, { ...options, signal: AbortSignal.any(ends) });
  } catch (error) {
    throw new Error(`no answer: ${error.message}`);
  }
  if (answer.status === 204 || answer.status === 304) return {};
  const text = await answer.text();
  let told = {};
  try {
    told = text ? JSON.parse(text) : {};
  } catch {
    told = { error: text };
  }
  if (!answer.ok) {
    const { status } = answer;
    throw Object.assign(new Error(told.error ?? `status ${status}`), { status });
  }
  return told;
}

function keyed(key, query = '') {
  if (isUnreachable(key)) throw new Error('browsers take this key out of an address; use kvctl');
  return addressOf(key) + query;
}

function json(method, body) {
  return { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

function conditional(options, revision) {
  if (revision) options.headers['if-match'] = `"${revision}"`;
  return options;
}

function begins(shown, prefix) {
  if (shown.key !== undefined) return shown.key.startsWith(prefix);
  const raw = bytesOf(shown.key_base64);
  return TEXT.encode(prefix).every((byte, place) => raw[place] === byte);
}

/** Where the keys are that begin with `prefix`, and others behind them if a browser cannot ask
 * for these alone. */
function listOf(prefix, limit) {
  const query = `?prefix&keys&limit=${Math.min(limit, PART_KEYS_MAX)}`;
  if (!isUnreachable({ text: prefix })) return addressOf({ text: prefix }) + query;
  return `/kv/${query}&from=${encodeURIComponent(prefix)}`;
}

/** The first `limit` keys that begin with `prefix`, at one revision; `more` if there are others,
 * and `count` of all of them where that is known. */
export async function list(prefix, limit, { signal } = {}) {
  const isAlone = !isUnreachable({ text: prefix });
  const kvs = [];
  let address = listOf(prefix, limit);
  for (;;) {
    const part = await ask(address, { signal });
    const fitting = isAlone ? part.kvs : part.kvs.filter((shown) => begins(shown, prefix));
    kvs.push(...fitting);
    const more = Boolean(part.more) && fitting.length === part.kvs.length;
    if (!more || kvs.length >= limit || !part.kvs.length) {
      return { kvs, more, count: isAlone ? part.count : null, revision: part.revision };
    }
    address = part.next;
  }
}

/** A key with its value, or null if there is none. */
export async function read(key, { signal } = {}) {
  try {
    return await ask(keyed(key), { signal });
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Sets a key to text, whatever it was; `revision`, if given, is that it must have. */
export function put(key, value, { revision, isNew, within_ms } = {}) {
  const options = conditional(json('PUT', { value }), revision);
  if (isNew) options.headers['if-none-match'] = '*';
  return ask(keyed(key), { ...options, within_ms });
}

/** Changes fields of a hash or members of a set: {set, unset, add, remove}; `revision` as of a
 * put. */
export function change(key, changes, { revision } = {}) {
  return ask(keyed(key), conditional(json('PATCH', changes), revision));
}

export function remove(key) {
  return ask(keyed(key), { method: 'DELETE' });
}

/** The newest versions of a key, newest first; `isMissing` if there is no such key. */
export async function history(key, limit, { signal } = {}) {
  try {
    return await ask(keyed(key, `?history&limit=${limit}`), { signal });
  } catch (error) {
    if (error.status === 404) return { versions: [], isMissing: true };
    throw error;
  }
}

/**
 * Watches a key until the answer is called. `began` when changes are told from here on, also
 * after a connection that broke; `changed` at each change; `ended` when the node tells no more:
 * the caller may watch again.
 */
export function watch(key, { began, changed, ended }) {
  const source = new EventSource(keyed(key, '?watch'));
  source.addEventListener('open', began);
  source.addEventListener('put', changed);
  source.addEventListener('del', changed);
  source.addEventListener('error', (event) => {
    // The node's own word has data; without it a browser comes back unless it was refused.
    const isOver = event.data !== undefined || source.readyState === EventSource.CLOSED;
    if (!isOver) return;
    source.close();
    ended();
  });
  return () => source.close();
}
