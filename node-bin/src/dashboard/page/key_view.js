// One key: its value or items to change, its history, and what happens to it meanwhile.

import { button, element, keep, setAttribute, setText } from './dom.js';
import { plural } from './format.js';
import { change, history, nameOf, put, read, remove, watch } from './store.js';
import { confirmed } from './play.js';
import { say } from './toast.js';

const HISTORY_MAX = 20;
/** Longer values are not put into an editor: it would lose what it cannot show. */
const EDITED_MAX = 100_000;

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

export class KeyView {
  constructor(model, changed) {
    this.model = model;
    this.changed = changed;
    this.key = null;
    this.unwatch = null;
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
    this.key = null;
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
    this.build();
    await this.load();
    if (this.key === key) this.startWatch();
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

  startWatch() {
    this.unwatch = watch(this.key, () => {
      this.live.classList.remove('blink');
      requestAnimationFrame(() => this.live.classList.add('blink'));
      this.load();
    });
  }

  async load() {
    const { key } = this;
    try {
      const past = await history(key, HISTORY_MAX);
      // A browser complains of every answer that something is not there, so it is not asked for.
      const isGone = past.versions?.[0]?.event === 'del';
      const now = isGone ? null : await read(key);
      if (this.key !== key) return;
      this.show(now);
      this.showHistory(past);
    } catch (error) {
      if (this.key === key) setText(this.facts, error.message);
    }
  }

  show(now) {
    if (!now) {
      setText(this.facts, 'this key is not there');
      this.editor.replaceChildren();
      return;
    }
    setText(this.facts, `made at revision ${now.create_revision}, changed at ${now.mod_revision}, `
      + `version ${now.version}${now.lease ? `, lease ${now.lease}` : ''}`);
    this.revision = now.mod_revision;
    if (now.kind === 'HASH') this.showHash(now);
    else if (now.kind === 'SET') this.showSet(now);
    else this.showText(now);
  }

  showText(now) {
    const isText = now.value !== undefined && now.value.length <= EDITED_MAX;
    const old = this.editor.querySelector('textarea');
    if (old && isText) {
      // What somebody is typing is not taken away by a change that comes meanwhile.
      if (old.value === old.dataset.read) old.value = now.value;
      old.dataset.read = now.value;
      old.dataset.revision = now.mod_revision;
      return;
    }
    const shown = now.value ?? `base64:${now.value_base64}`;
    const area = element('textarea', {
      rows: 5, id: 'key-value', 'aria-label': 'Value', readonly: !isText,
      value: isText ? shown : `${shown.slice(0, EDITED_MAX)}`, 'data-read': isText ? shown : '',
      'data-revision': now.mod_revision,
    });
    const save = () => this.act(async () => {
      await put(this.key, area.value, { revision: area.dataset.revision });
      area.dataset.read = area.value;
      say(`${nameOf(this.key)} is written`, 'done');
      await this.load();
    });
    this.editor.replaceChildren(area, isText
      ? element('div', { class: 'row end' }, button('Save', save, { id: 'key-save' }))
      : element('p', { class: 'summary', text: 'No text, or too long to be changed here.' }));
  }

  showHash(now) {
    this.makeItems('hash', ['field', 'value'], ([field, value]) => ({ set: { [field]: value } }));
    keep(this.items, Object.entries(now.fields ?? {}), ([field]) => field, ([field, value]) => {
      const input = element('input', { value, 'aria-label': `Value of ${field}` });
      input.dataset.read = value;
      input.onchange = () => this.edit({ set: { [field]: input.value } });
      return element('li', {}, element('span', { text: field }), input,
        button('×', () => this.edit({ unset: [field] }), {
          class: 'quiet', 'aria-label': `Remove ${field}`,
        }));
    }, (row, [, value]) => {
      const input = row.children[1];
      if (input.value === input.dataset.read) input.value = value;
      input.dataset.read = value;
    });
    this.noteRest(now, Object.keys(now.fields ?? {}).length);
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
      await change(this.key, changes);
      await this.load();
    });
  }

  showHistory(past) {
    keep(this.versions, past.versions ?? [], (version) => version.revision, (version) => {
      const text = oneLine(version);
      const take = button('Take', () => {
        const area = this.editor.querySelector('textarea');
        if (area) area.value = version.value;
      }, { class: 'quiet', title: 'Put this into the editor' });
      const item = element('li', { 'data-event': version.event },
        element('b', { text: version.revision }), element('span', { text }));
      if (version.value !== undefined) item.append(take);
      return item;
    });
    setAttribute(this.versions, 'data-more', Boolean(past.more));
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
