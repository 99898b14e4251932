// Short words about what became of something, which go by themselves.

import { byId, element } from './dom.js';

const SHOWN_MS = 4_500;
const SHOWN_MAX = 4;

/** Says `text` for a while; `kind` is done, failed or note. */
export function say(text, kind = 'note') {
  const place = byId('toasts');
  const toast = element('p', { class: `toast ${kind}`, text });
  place.append(toast);
  while (place.children.length > SHOWN_MAX) place.firstElementChild.remove();
  setTimeout(() => toast.remove(), SHOWN_MS);
}
