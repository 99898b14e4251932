// What a lesson can see of the cluster and do to it.

import { put } from './store.js';

/** A key of a lesson; each lesson writes below its own name and leaves it there to be looked at. */
const PREFIX = 'lesson/';

/** A write that nobody acknowledges within this is given up by the page. */
const WRITE_MS = 20_000;

/** So long a cluster may take to be whole again at the end. */
const WHOLE_MS = 15_000;

/** Something that a lesson needs and the cluster does not allow just now. */
export class LessonError extends Error {}

export class Stage {
  constructor(model, play, name, page) {
    this.model = model;
    this.play = play;
    this.name = name;
    /** By which the cluster knows whose lesson it is, and what it breaks. */
    this.page = page;
    /** What steps remember for later ones. */
    this.kept = {};
    this.added = [];
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

  /** An order of this lesson: the cluster notes what it breaks, and refuses it when the lesson is
   * over. Resolves to {done, text}. */
  order(action, order = {}) {
    return this.play.order(action, { ...order, lesson: this.page });
  }

  /** Does something to the cluster. Throws what it says if it was not done, unless that is fine. */
  async do(action, order = {}, isFine = false) {
    const { done, text } = await this.order(action, order);
    if (!done && !isFine) throw new LessonError(text);
    return text;
  }

  /** Slow motion for the time of the lesson, where there is such a thing. */
  async slowDown(scale) {
    const { done } = await this.order('time-scale', { scale });
    if (done) await this.until(() => this.model.state?.scale === scale, 3_000);
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

  /** Takes the stage, if nobody has it. Throws why not. */
  begin() {
    return this.do('lesson-begin', { name: this.name });
  }

  /** Says what is shown, as a sign of life and for pages that watch. */
  show(title, text) {
    this.order('lesson-shows', { title, text });
  }

  /** Leaves the stage; the cluster puts right whatever the lesson broke and nobody has mended.
   * Resolves to what is not right by then. */
  async end() {
    const failed = [];
    const { done, text } = await this.order('lesson-end');
    if (!done) failed.push(text);
    const isWhole = await this.until(() => (
      this.leader && this.up.length === this.model.nodes().length
      && !this.added.some((id) => this.node(id))
      && !(this.model.state.links ?? []).length), WHOLE_MS);
    if (!isWhole) failed.push('not every node is back yet');
    return failed;
  }
}
