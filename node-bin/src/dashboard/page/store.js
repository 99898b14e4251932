// Keys of the cluster over HTTP, as docs/http.md has them.

/** A cluster that is frozen or has no leader answers late or never. */
const ASK_MS = 15_000;

/** As many keys stand on one page of a list. */
const PAGE_KEYS = 50;

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
function isUnreachable(key) {
  return key.text === '.' || key.text === '..';
}

async function ask(address, options) {
  let answer;
  try {
    answer = await fetch(address, { signal: AbortSignal.timeout(ASK_MS), ...options });
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

/** One page of the keys that begin with `prefix`; `next` is what the page before said. */
export function list(prefix, next) {
  return ask(next ?? `${addressOf({ text: prefix })}?prefix&keys&limit=${PAGE_KEYS}`);
}

/** A key with its value, or null if there is none. */
export async function read(key) {
  try {
    return await ask(keyed(key));
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Sets a key to text, whatever it was; `revision`, if given, is that it must have. */
export function put(key, value, { revision, isNew, signal } = {}) {
  const options = json('PUT', { value });
  if (revision) options.headers['if-match'] = `"${revision}"`;
  if (isNew) options.headers['if-none-match'] = '*';
  return ask(keyed(key), signal ? { ...options, signal } : options);
}

/** Changes fields of a hash or members of a set: {set, unset, add, remove}. */
export function change(key, changes) {
  return ask(keyed(key), json('PATCH', changes));
}

export function remove(key) {
  return ask(keyed(key), { method: 'DELETE' });
}

/** The newest versions of a key, newest first. */
export function history(key, limit) {
  return ask(keyed(key, `?history&limit=${limit}`));
}

/** Tells each change of a key from now on, until the answer is called. */
export function watch(key, told) {
  const source = new EventSource(keyed(key, '?watch'));
  const on = (event) => told(JSON.parse(event.data));
  source.addEventListener('put', on);
  source.addEventListener('del', on);
  return () => source.close();
}
