// One key: its value or items to change, its history, and what happens to it meanwhile.

import { button, element, keep, setAttribute, setText } from './dom.js';
import { plural } from './format.js';
import {
  change, history, isUnreachable, nameOf, put, read, remove, watch,
} from './store.js';
import { confirmed } from './play.js';
import { say } from './toast.js';

const HISTORY_MAX = 20;
/** Longer values are not put into an editor: it would lose what it cannot show. */
const EDITED_MAX = 100_000;
/** A key that changes all the time is looked at so often. */
const LOOK_MS = 250;
/** A watch that the node ended is begun again after this. */
const AGAIN_MS = 2_000;
/** A hash may be changed elsewhere, in other fields, so often while one field is written. */
const TRIES_MAX = 5;
const HTTP_CONDITION_FAILED = 412;

/** What a version of a key holds, on one line. */
function oneLine(version) {
  if (version.event === 'del') return 'deleted';
  if (version.value_base64 !== undefined) return `base64:${version.value_base64}`;
  if (version.fields) {
    return Object.entries(version.fields).map((pair) => pair.join('=')).join(', ');
  }
  if (version.members) return version.members.join(', ');
  return version.value ?? '';
}

/**
 * Makes of `work` something that may be asked for at any time: it is done one at a time and at
 * most once in `every_ms`, and whatever is asked for meanwhile is done as one. What that answers
 * resolves when work that began afterwards has ended.
 */
function calmly(work, every_ms) {
  let running = null;
  let isWanted = false;
  let begun_ms = -Infinity;
  const run = async () => {
    try {
      while (isWanted) {
        const rest_ms = begun_ms + every_ms - performance.now();
        if (rest_ms > 0) await new Promise((resolve) => { setTimeout(resolve, rest_ms); });
        isWanted = false;
        begun_ms = performance.now();
        await work();
      }
    } finally {
      running = null;
    }
  };
  return () => {
    isWanted = true;
    running ??= run();
    return running;
  };
}

/** How the lines of a text end; null if not all alike, which an editor would make them. */
function lineEndOf(text) {
  const rest = text.replaceAll('\r\n', '');
  if (rest.includes('\r')) return null;
  if (rest.length === text.length) return '\n';
  return rest.includes('\n') ? null : '\r\n';
}

function isEditable(value) {
  return value !== undefined && value.length <= EDITED_MAX && lineEndOf(value) !== null;
}

/** What somebody may be typing in place of a value that was read. */
class Draft {
  constructor(area, value) {
    this.area = area;
    this.take(value);
  }

  /** Shows a value as it was read. */
  take(value) {
    this.area.value = value.slice(0, EDITED_MAX);
    this.area.readOnly = !isEditable(value);
    this.settle(value, this.area.value);
  }

  /** From now on `value`, which the area shows as `shown`, is what is stored. */
  settle(value, shown) {
    this.stored = value;
    this.shown = shown;
    this.end = lineEndOf(value) ?? '\n';
    /** What others have stored while somebody was typing. */
    this.theirs = null;
  }

  get isEdited() {
    return this.area.value !== this.shown;
  }

  /** What would be stored, with the ends of lines that were read. */
  get value() {
    return this.isEdited ? this.area.value.replaceAll('\n', this.end) : this.stored;
  }

  /** Follows what is stored, but takes nothing away that somebody is typing. Returns whether the
   * draft is of this value now. */
  follow(value) {
    if (value === this.value) this.settle(value, this.area.value);
    else if (value !== this.stored && !this.isEdited) this.take(value);
    else if (value !== this.stored) this.theirs = value;
    else this.theirs = null;
    return this.theirs === null;
  }
}

export class KeyView {
  constructor(model, changed) {
    this.model = model;
    this.changed = changed;
    this.key = null;
    this.unwatch = null;
    /** Ends what is asked about the key that is shown. */
    this.asking = null;
    this.place = element('div', { class: 'key-view', 'aria-live': 'off' });
    this.rest();
  }

  rest() {
    this.close();
    const text = 'Choose a key, or make one.';
    this.place.replaceChildren(element('p', { class: 'empty', text }));
  }

  close() {
    this.unwatch?.();
    this.unwatch = null;
    this.asking?.abort();
    this.key = null;
    this.text = null;
  }

  /** A form for a key that is not there yet. */
  create(prefix) {
    this.close();
    const key = element('input', {
      id: 'new-key', value: prefix, placeholder: 'key', 'aria-label': 'Key',
    });
    const kind = element('select', { id: 'new-kind', 'aria-label': 'Type' },
      ...['text', 'hash', 'set'].map((text) => element('option', { value: text, text })));
    const field = element('input', { placeholder: 'field', 'aria-label': 'Field', hidden: true });
    const value = element('textarea', {
      id: 'new-value', rows: 4, placeholder: 'value', 'aria-label': 'Value',
    });
    kind.onchange = () => {
      field.hidden = kind.value !== 'hash';
      value.placeholder = kind.value === 'set' ? 'member' : 'value';
    };
    const save = () => this.act(async () => {
      const named = { text: key.value };
      if (kind.value === 'text') await put(named, value.value, { isNew: true });
      else if (kind.value === 'hash') await change(named, { set: { [field.value]: value.value } });
      else await change(named, { add: [value.value] });
      say(`${key.value} is written`, 'done');
      await this.open(named);
    });
    this.place.replaceChildren(element('form', {
      class: 'key-form', onsubmit: (event) => {
        event.preventDefault();
        save();
      },
    }, element('div', { class: 'row' }, key, kind), field, value,
    element('div', { class: 'row end' },
      element('button', { type: 'submit', text: 'Save', id: 'new-save' }))));
    key.focus();
  }

  /** Does something to the cluster; what goes wrong is said, and the list is looked at again. */
  async act(work) {
    try {
      await work();
      this.changed();
    } catch (error) {
      say(error.message, 'failed');
    }
  }

  async open(key) {
    this.close();
    this.key = key;
    this.asking = new AbortController();
    const { signal } = this.asking;
    this.load = calmly(() => this.look(key, signal), LOOK_MS);
    this.build();
    await this.load();
    if (!signal.aborted) this.attend();
  }

  build() {
    this.title = element('h3', { text: nameOf(this.key) });
    this.facts = element('p', { class: 'summary' });
    this.editor = element('div', { class: 'key-editor' });
    this.versions = element('ol', { class: 'versions' });
    this.live = element('span', { class: 'live', text: 'watching', title: 'changes show at once' });
    this.place.replaceChildren(
      element('div', { class: 'row' }, this.title, this.live,
        button('Delete', () => this.delete(), { class: 'danger-quiet', id: 'key-delete' })),
      this.facts, this.editor, element('h4', { text: 'History' }), this.versions);
  }

  /** Watches the key while somebody can see it: a browser has few connections for one host. */
  attend() {
    const isSeen = !document.hidden && this.place.offsetParent !== null;
    if (isSeen && this.key && !this.unwatch && !isUnreachable(this.key)) this.startWatch();
    if (!isSeen) {
      this.unwatch?.();
      this.unwatch = null;
    }
  }

  startWatch() {
    const { load } = this;
    let again = null;
    const end = watch(this.key, {
      // What changed before that was told by nobody.
      began: load,
      changed: () => {
        this.live.classList.remove('blink');
        requestAnimationFrame(() => this.live.classList.add('blink'));
        load();
      },
      ended: () => {
        again = setTimeout(() => {
          this.unwatch = null;
          this.attend();
        }, AGAIN_MS);
      },
    });
    this.unwatch = () => {
      clearTimeout(again);
      end();
    };
  }

  async look(key, signal) {
    if (signal.aborted) return;
    try {
      const past = await history(key, HISTORY_MAX, { signal });
      // A browser complains of every answer that something is not there, so it is not asked for.
      const isGone = past.isMissing || past.versions[0]?.event === 'del';
      const now = isGone ? null : await read(key, { signal });
      if (signal.aborted) return;
      this.show(now);
      this.showHistory(past);
    } catch (error) {
      if (!signal.aborted) setText(this.facts, error.message);
    }
  }

  show(now) {
    this.now = now;
    setText(this.facts, now ? `made at revision ${now.create_revision}, changed at `
      + `${now.mod_revision}, version ${now.version}${now.lease ? `, lease ${now.lease}` : ''}`
      : 'this key is not there');
    if (this.text?.draft.isEdited) {
      this.keepTyped(now);
      return;
    }
    if (!now) this.editor.replaceChildren();
    else if (now.kind === 'HASH') this.showHash(now);
    else if (now.kind === 'SET') this.showSet(now);
    else this.showText(now);
    if (!this.text?.draft.area.isConnected) this.text = null;
  }

  /** The text that somebody is typing stays, whatever is there now; a save will not hide it. */
  keepTyped(now) {
    const { draft } = this.text;
    const isText = now && !now.kind && now.value !== undefined;
    if (isText && draft.follow(now.value)) {
      this.text.revision = now.mod_revision;
      this.noteConflict(null);
      return;
    }
    this.noteConflict(now ? `changed by others at revision ${now.mod_revision}`
      : 'deleted by others');
  }

  noteConflict(text) {
    const { conflict } = this.text;
    setAttribute(conflict, 'hidden', text === null);
    setText(conflict.firstElementChild, text ?? '');
  }

  showText(now) {
    const value = now.value ?? `base64:${now.value_base64}`;
    const isText = isEditable(now.value);
    if (this.text?.isText === isText) {
      this.text.draft.take(value);
      this.text.draft.area.readOnly = !isText;
      this.text.revision = now.mod_revision;
      this.noteConflict(null);
      return;
    }
    const area = element('textarea', { rows: 5, id: 'key-value', 'aria-label': 'Value' });
    const conflict = element('div', { class: 'conflict', role: 'status', hidden: true },
      element('span', {}),
      button('Take theirs', () => this.takeTheirs(), { id: 'key-take-theirs' }),
      button('Write mine over it', () => this.overwrite(), { id: 'key-overwrite' }));
    this.text = { draft: new Draft(area, value), conflict, isText, revision: now.mod_revision };
    area.readOnly = !isText;
    this.editor.replaceChildren(area, conflict, isText
      ? element('div', { class: 'row end' }, button('Save', () => this.save(), { id: 'key-save' }))
      : element('p', {
        class: 'summary',
        text: 'No text, or too long or with too many kinds of line ends to be changed here.',
      }));
  }

  /** Stores what was typed, if the key is still what was read. */
  save() {
    const { key, text, load } = this;
    return this.act(async () => {
      const { value } = text.draft;
      const shown = text.draft.area.value;
      const { revision } = text;
      try {
        const told = await put(key, value, { revision, isNew: revision === 0 });
        text.revision = told.revision;
        text.draft.settle(value, shown);
        say(`${nameOf(key)} is written`, 'done');
      } finally {
        // After a refusal it is seen what is there now.
        await load();
      }
    });
  }

  takeTheirs() {
    this.text.draft.area.value = this.text.draft.shown;
    this.show(this.now);
  }

  overwrite() {
    this.text.revision = this.now?.mod_revision ?? 0;
    return this.save();
  }

  showHash(now) {
    this.makeItems('hash', ['field', 'value'], ([field, value]) => ({ set: { [field]: value } }));
    keep(this.items, Object.entries(now.fields ?? {}), ([field]) => field, ([field, value]) => {
      // Not an input: that would take the ends of lines away.
      const area = element('textarea', {
        'aria-label': `Value of ${field}`, onchange: () => this.writeField(field, row.draft),
        onkeydown: (event) => {
          if (event.key !== 'Enter' || event.shiftKey) return;
          event.preventDefault();
          area.blur();
        },
      });
      const row = element('li', {}, element('span', { text: field }), area,
        button('×', () => this.edit({ unset: [field] }), {
          class: 'quiet', 'aria-label': `Remove ${field}`,
        }));
      row.draft = new Draft(area, value);
      return row;
    }, (row, [, value]) => {
      const { area } = row.draft;
      const isOurs = row.draft.follow(value);
      setAttribute(row, 'data-conflict', !isOurs);
      setAttribute(area, 'title', isOurs ? null : 'changed by others meanwhile');
      setAttribute(area, 'rows', Math.min(4, area.value.split('\n').length));
    });
    this.noteRest(now, Object.keys(now.fields ?? {}).length);
  }

  /** Stores the value of one field, over another only if that is wanted. */
  async writeField(field, draft) {
    const { key, load } = this;
    if (!draft.isEdited) return;
    for (let tries = 1; ; tries += 1) {
      if (draft.theirs !== null) {
        const question = `${field} was changed by others meanwhile. Write yours over it?`;
        if (!(await confirmed(question, 'Write mine over it'))) {
          draft.take(draft.theirs);
          await load();
          return;
        }
        draft.stored = draft.theirs;
        draft.theirs = null;
      }
      const { value } = draft;
      const shown = draft.area.value;
      try {
        await change(key, { set: { [field]: value } }, { revision: this.now?.mod_revision });
        draft.settle(value, shown);
        break;
      } catch (error) {
        const isOther = error.status === HTTP_CONDITION_FAILED;
        if (!isOther || tries === TRIES_MAX || this.key !== key) {
          say(error.message, 'failed');
          return;
        }
        // Another field may be what has changed.
        await load();
      }
    }
    this.changed();
    await load();
  }

  showSet(now) {
    this.makeItems('set', ['member'], ([member]) => ({ add: [member] }));
    keep(this.items, now.members ?? [], (member) => member, (member) => (
      element('li', {}, element('span', { text: member }),
        button('×', () => this.edit({ remove: [member] }), {
          class: 'quiet', 'aria-label': `Remove ${member}`,
        }))));
    this.noteRest(now, (now.members ?? []).length);
  }

  makeItems(kind, names, changeOf) {
    if (this.editor.dataset.kind === kind && this.items?.isConnected) return;
    this.editor.dataset.kind = kind;
    this.items = element('ul', { class: `items ${kind}` });
    this.rest_note = element('p', { class: 'summary' });
    const inputs = names.map((name) => element('input', {
      placeholder: name, 'aria-label': `New ${name}`,
    }));
    this.editor.replaceChildren(this.items, this.rest_note, element('form', {
      class: 'row', onsubmit: async (event) => {
        event.preventDefault();
        await this.edit(changeOf(inputs.map((input) => input.value)));
        for (const input of inputs) input.value = '';
        inputs[0].focus();
      },
    }, ...inputs, element('button', { type: 'submit', text: 'Add' })));
  }

  noteRest(now, shown) {
    const rest = (now.count ?? shown) - shown;
    const note = `${plural(rest, 'further item')}, or such as are no text`;
    setText(this.rest_note, rest > 0 ? note : '');
  }

  edit(changes) {
    return this.act(async () => {
      const { key, load } = this;
      await change(key, changes);
      await load();
    });
  }

  showHistory(past) {
    keep(this.versions, past.versions ?? [], (version) => version.revision, (version) => {
      const text = oneLine(version);
      const take = button('Take', () => this.takeVersion(version.value), {
        class: 'quiet', title: 'Put this into the editor',
      });
      const item = element('li', { 'data-event': version.event },
        element('b', { text: version.revision }), element('span', { text }));
      if (version.value !== undefined) item.append(take);
      return item;
    });
    setAttribute(this.versions, 'data-more', Boolean(past.more));
  }

  takeVersion(value) {
    const { text } = this;
    if (!text?.isText || !isEditable(value)) {
      say('this version cannot be put into the editor', 'failed');
      return;
    }
    text.draft.area.value = value;
    text.draft.end = lineEndOf(value);
  }

  async delete() {
    const name = nameOf(this.key);
    if (!(await confirmed(`Delete the key ${name}?`, 'Delete'))) return;
    await this.act(async () => {
      await remove(this.key);
      say(`${name} is deleted`, 'done');
    });
  }
}
