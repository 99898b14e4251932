// The browser of keys: a list by prefix, and what is known of the one that is chosen.

import { button, byId, element, keep, setAttribute, setText } from './dom.js';
import { count, plural } from './format.js';
import { KeyView } from './key_view.js';
import { keyOf, list, nameOf } from './store.js';

/** The list follows the store at most so often. */
const REFRESH_MS = 1_000;
const TYPING_MS = 200;

/** As many keys are listed at first, and at most: further ones need a longer prefix. */
const LISTED = 50;
const LISTED_MAX = 10_000;

export const TYPE_WORDS = { HASH: 'hash', SET: 'set' };

export class Keys {
  constructor(model, play) {
    this.model = model;
    this.prefix = '';
    this.wanted = LISTED;
    this.shown = [];
    this.revision = null;
    this.listed_ms = 0;
    /** Ends the question that is under way, if there is one. */
    this.asking = null;
    this.view = new KeyView(model, () => this.refresh(true));
    this.build(play);
    model.listen('state', () => this.follow());
    document.addEventListener('visibilitychange', () => this.turn());
  }

  build() {
    this.input = element('input', {
      type: 'search', id: 'key-prefix', placeholder: 'prefix', 'aria-label': 'Keys that begin with',
      autocomplete: 'off', spellcheck: 'false', oninput: () => this.typed(),
    });
    this.rows = element('ul', { class: 'key-rows', 'aria-label': 'Keys' });
    this.status = element('p', { class: 'empty', text: 'loading' });
    this.more = button('More', () => this.showMore(), {
      id: 'key-more', class: 'quiet wide', hidden: true,
    });
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
      this.wanted = LISTED;
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

  /** Somebody came to the keys, or went from them. */
  turn() {
    if (this.isSeen()) this.refresh(false);
    this.view.attend();
  }

  /** Lists again; unless it `isAsked` for, a question that is under way will do. */
  async refresh(isAsked) {
    if (this.asking && !isAsked) return;
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    this.listed_ms = performance.now();
    const { model } = this;
    const revision = model.node(model.own())?.values?.['store/revision'] ?? null;
    try {
      const told = await list(this.prefix, this.wanted, asking);
      // What comes after another prefix was typed is not what was asked for.
      if (asking.signal.aborted) return;
      this.revision = revision;
      this.take(told);
    } catch (error) {
      if (asking.signal.aborted) return;
      setText(this.status, error.message);
      setAttribute(this.status, 'hidden', null);
    } finally {
      if (this.asking === asking) this.asking = null;
    }
  }

  showMore() {
    this.wanted = Math.min(2 * this.wanted, LISTED_MAX);
    return this.refresh(true);
  }

  take(told) {
    this.shown = told.kvs;
    setAttribute(this.more, 'hidden', !told.more || this.wanted >= LISTED_MAX);
    setAttribute(this.status, 'hidden', this.shown.length > 0);
    setText(this.status, this.prefix ? 'no key begins so' : 'no keys yet: New key makes one');
    const all = Math.max(told.count ?? 0, this.shown.length);
    const rest = told.more ? `, the first ${count(this.shown.length)} of them here` : '';
    setText(this.total, `${plural(all, 'key')} at revision ${told.revision ?? '–'}${rest}`);
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
