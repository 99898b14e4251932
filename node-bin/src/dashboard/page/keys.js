// The browser of keys: a list by prefix, and what is known of the one that is chosen.

import { button, byId, element, keep, setAttribute, setText } from './dom.js';
import { plural } from './format.js';
import { KeyView } from './key_view.js';
import { keyOf, list, nameOf } from './store.js';
import { say } from './toast.js';

/** The list follows the store at most so often. */
const REFRESH_MS = 1_000;
const TYPING_MS = 200;

export const TYPE_WORDS = { HASH: 'hash', SET: 'set' };

export class Keys {
  constructor(model, play) {
    this.model = model;
    this.prefix = '';
    this.next = null;
    this.shown = [];
    this.revision = null;
    this.listed_ms = 0;
    this.isBusy = false;
    this.view = new KeyView(model, () => this.refresh(true));
    this.build(play);
    model.listen('state', () => this.follow());
  }

  build() {
    this.input = element('input', {
      type: 'search', id: 'key-prefix', placeholder: 'prefix', 'aria-label': 'Keys that begin with',
      autocomplete: 'off', spellcheck: 'false', oninput: () => this.typed(),
    });
    this.rows = element('ul', { class: 'key-rows', 'aria-label': 'Keys' });
    this.status = element('p', { class: 'empty', text: 'loading' });
    this.more = button('More', () => this.page(), { class: 'quiet wide', hidden: true });
    this.total = element('span', { class: 'summary' });
    const add = button('New key', () => {
      this.choose(null);
      this.view.create(this.prefix);
    }, { id: 'key-new' });
    const left = element('div', { class: 'key-list' },
      element('div', { class: 'row' }, this.input, add), this.total, this.status, this.rows,
      this.more);
    byId('keys').append(left, this.view.place);
  }

  isSeen() {
    return byId('keys').offsetParent !== null;
  }

  typed() {
    clearTimeout(this.typing);
    this.typing = setTimeout(() => {
      this.prefix = this.input.value;
      this.refresh(true);
    }, TYPING_MS);
  }

  /** Lists again when the store has changed and somebody looks. */
  follow() {
    const { model } = this;
    const revision = model.node(model.own())?.values?.['store/revision'] ?? null;
    if (revision === this.revision || !this.isSeen()) return;
    if (performance.now() - this.listed_ms > REFRESH_MS) this.refresh(false);
  }

  async refresh(isAsked) {
    if (this.isBusy && !isAsked) return;
    this.isBusy = true;
    this.listed_ms = performance.now();
    const { model, prefix } = this;
    const revision = model.node(model.own())?.values?.['store/revision'] ?? null;
    try {
      const told = await list(prefix);
      // A page that comes after another prefix was typed is not what was asked for.
      if (prefix !== this.prefix) return;
      this.revision = revision;
      this.take(told, []);
    } catch (error) {
      setText(this.status, error.message);
      setAttribute(this.status, 'hidden', null);
    } finally {
      this.isBusy = false;
    }
  }

  async page() {
    try {
      this.take(await list(this.prefix, this.next), this.shown);
    } catch (error) {
      say(error.message, 'failed');
    }
  }

  take(told, before) {
    this.shown = [...before, ...told.kvs];
    this.next = told.more ? told.next : null;
    setAttribute(this.more, 'hidden', !this.next);
    setAttribute(this.status, 'hidden', this.shown.length > 0);
    setText(this.status, this.prefix ? 'no key begins so' : 'no keys yet: New key makes one');
    const all = Math.max(told.count ?? 0, this.shown.length);
    setText(this.total, `${plural(all, 'key')} at revision ${told.revision ?? '–'}`);
    this.showRows();
  }

  showRows() {
    keep(this.rows, this.shown, (shown) => nameOf(keyOf(shown)), (shown) => {
      const key = keyOf(shown);
      return element('li', {}, element('button', {
        type: 'button', class: 'key-row', onclick: () => this.choose(key),
      }, element('span', { class: 'key-name', text: nameOf(key) }),
      element('span', { class: 'badge' }), element('small', {})));
    }, (row, shown) => {
      const [, badge, version] = row.firstElementChild.children;
      setText(badge, TYPE_WORDS[shown.kind] ?? 'text');
      setAttribute(badge, 'data-kind', TYPE_WORDS[shown.kind] ?? 'text');
      setText(version, `v${shown.version}`);
      const isChosen = this.chosen !== undefined && nameOf(keyOf(shown)) === this.chosen;
      setAttribute(row.firstElementChild, 'aria-current', isChosen ? 'true' : null);
    });
  }

  choose(key) {
    this.chosen = key ? nameOf(key) : undefined;
    this.showRows();
    if (key) this.view.open(key);
  }
}
