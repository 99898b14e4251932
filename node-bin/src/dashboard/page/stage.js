// What a lesson can see of the cluster and do to it.

import { put } from './store.js';

/** A key of a lesson; each lesson writes below its own name and leaves it there to be looked at. */
const PREFIX = 'lesson/';

/** A write that nobody acknowledges within this is given up by the page. */
const WRITE_MS = 20_000;

/** So long a cluster may take to be whole again at the end. */
const WHOLE_MS = 15_000;

/** What puts right what a lesson does. */
const CURES = { cut: 'heal', delay: 'heal', pause: 'resume', kill: 'revive' };

/** Something that a lesson needs and the cluster does not allow just now. */
export class LessonError extends Error {}

function victimOf({ node, other }) {
  return [node, other].filter(Boolean).sort().join('-');
}

export class Stage {
  constructor(model, play, name) {
    this.model = model;
    this.play = play;
    this.name = name;
    /** What steps remember for later ones. */
    this.kept = {};
    this.added = [];
    /** What would put things right: each with the nodes and links that it is for. */
    this.cures = new Map();
    this.scale_before = null;
    this.written = 0;
  }

  get leader() {
    return this.model.leader();
  }

  get term() {
    return this.model.state?.term ?? 0;
  }

  get own() {
    return this.model.own();
  }

  /** Nodes that answer. */
  get up() {
    return this.model.nodes().filter((node) => node.state === 'up');
  }

  /** Voters that answer and neither lead nor serve this page, as lessons choose victims. */
  get others() {
    return this.up
      .filter((node) => node.member === 'voter' && ![this.leader, this.own].includes(node.id))
      .map((node) => node.id);
  }

  node(id) {
    return this.model.node(id);
  }

  value(id, path) {
    return this.node(id)?.values?.[path] ?? null;
  }

  /** Of what `raft/election_timeout_ms` says, as it passes outside of slow motion. */
  get timeout_ms() {
    const said_ms = this.value(this.own, 'raft/election_timeout_ms') ?? 250;
    return said_ms * (this.model.state?.scale ?? 1);
  }

  /** Does something to the cluster. Throws what it says if it was not done, unless that is fine. */
  async do(action, order = {}, isFine = false) {
    // Noted before it is done: a page that is closed meanwhile puts it right all the same.
    this.note(CURES[action], order);
    const { done, text } = await this.play.order(action, order);
    if (done) this.forget(action, order);
    if (!done && !isFine) throw new LessonError(text);
    return text;
  }

  note(cure, order) {
    if (!cure) return;
    this.cures.set(cure, (this.cures.get(cure) ?? new Set()).add(victimOf(order)));
  }

  /** What was put right of one node or link, or of all, needs it no more. */
  forget(cure, order) {
    const victims = this.cures.get(cure);
    if (order.node !== undefined) victims?.delete(victimOf(order));
    if (order.node === undefined || !victims?.size) this.cures.delete(cure);
  }

  /** Slow motion for the time of the lesson, where there is such a thing. */
  async slowDown(scale) {
    const before = this.scale_before;
    this.scale_before ??= this.model.state?.scale ?? 1;
    const { done } = await this.play.order('time-scale', { scale });
    if (!done) {
      this.scale_before = before;
      return;
    }
    await this.until(() => this.model.state?.scale === scale, 3_000);
  }

  /** Writes a key of the lesson and does not wait; what became of it stands in `kept[name]`. */
  write(name, value) {
    this.written += 1;
    const fate = { state: 'sent', text: '', at_ms: performance.now() };
    this.kept[name] = fate;
    put({ text: `${PREFIX}${this.name}/${name}` }, value, { within_ms: WRITE_MS }).then(
      (told) => Object.assign(fate, { state: 'done', text: `revision ${told.revision}` }),
      (error) => Object.assign(fate, { state: 'failed', text: error.message }),
    );
    return fate;
  }

  /** Makes a node the leader, if it is not. */
  async lead(id) {
    if (this.leader !== id) await this.do('transfer', { node: id });
  }

  async cut(node, other, one_way = false) {
    await this.do('cut', { node, other, one_way }, true);
  }

  async cutOff(id) {
    for (const { id: other } of this.model.nodes()) if (other !== id) await this.cut(id, other);
  }

  async add() {
    const text = await this.do('add');
    const id = Number(/^node (\d+) added$/.exec(text)?.[1]);
    if (!id) throw new LessonError(`which node was added is not said: ${text}`);
    this.added.push(id);
    await this.until(() => this.node(id), 10_000);
    return id;
  }

  /** Waits until `holds()`; resolves to whether it did within the time. */
  until(holds, within_ms) {
    return new Promise((resolve) => {
      const start_ms = performance.now();
      const look = () => {
        if (holds()) resolve(true);
        else if (performance.now() - start_ms > within_ms) resolve(false);
        else setTimeout(look, 50);
      };
      look();
    });
  }

  /** Events since the lesson's present step began, as `mark` notes it. */
  mark() {
    this.from_us = this.model.state?.at_us ?? 0;
  }

  happened(fits) {
    return this.model.events.some((event) => event.at_us >= this.from_us && fits(event));
  }

  /** Puts right whatever the lesson has broken. Resolves to what could not be put right. */
  async cleanUp() {
    const failed = [];
    const mend = async (action, order = {}, isFine = false) => {
      const { done, text } = await this.play.order(action, order);
      if (!done && !isFine) failed.push(text);
    };
    if (this.model.state?.frozen) await mend('thaw');
    // Somebody may have mended it meanwhile, and then that says so.
    for (const cure of ['heal', 'resume', 'revive']) {
      if (this.cures.has(cure)) await mend(cure, {}, true);
    }
    if (this.scale_before !== null) await mend('time-scale', { scale: this.scale_before });
    for (const id of this.added.reverse()) await mend('remove', { node: id });
    const isWhole = await this.until(() => (
      this.leader && this.up.length === this.model.nodes().length
      && !(this.model.state.links ?? []).length), WHOLE_MS);
    if (!isWhole) failed.push('not every node is back yet');
    return failed;
  }

  /** The same without waiting for anything, for a page that is being closed. The orders are sent
   * in this order; those that need time to pass and a leader come last. */
  cleanUpBlindly() {
    if (this.model.state?.frozen) this.play.order('thaw');
    for (const cure of Object.values(CURES)) {
      if (this.cures.delete(cure)) this.play.order(cure);
    }
    if (this.scale_before !== null) this.play.order('time-scale', { scale: this.scale_before });
    for (const node of this.added.reverse()) this.play.order('remove', { node });
  }
}
