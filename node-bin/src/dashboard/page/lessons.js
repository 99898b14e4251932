// The player of lessons: one at a time, step by step, on the real cluster.

import { button, byId, element, keep, setAttribute, setText } from './dom.js';
import { CLASSICS } from './lessons_classic.js';
import { HARD_ONES } from './lessons_hard.js';
import { LessonError, Stage } from './stage.js';
import { say } from './toast.js';

const LESSONS = [...CLASSICS, ...HARD_ONES];

/** How long a text stays before a lesson goes on by itself: so long for a word, and at least. */
const WORD_MS = 210;
const STAY_MS_MIN = 3_000;
/** Unless a step says otherwise, so long is waited for what it wants to show. */
const WITHIN_MS = 12_000;

/** How often the cluster is told that this page still plays; it believes it for ten seconds. */
const SIGN_MS = 1_000;

/** A word by which the cluster knows whose lesson it is: another one for each. */
function drawn() {
  const numbers = crypto.getRandomValues(new Uint32Array(2));
  return [...numbers].map((number) => number.toString(16).padStart(8, '0')).join('');
}

export class Lessons {
  constructor(model, play, onStart) {
    this.model = model;
    this.play = play;
    this.onStart = onStart;
    this.place = byId('lessons');
    this.run = null;
    /** The words of the lessons that this page has played. */
    this.words = new Set();
    /** Tests and those in a hurry do not want to read: 0 goes on at once. */
    this.pace = Number(new URLSearchParams(location.search).get('lesson-pace') ?? 1);
    this.showList();
    // The cluster would miss this page sooner or later anyway.
    window.addEventListener('pagehide', () => {
      if (this.isPlaying()) this.run.stage.order('lesson-end');
    });
    model.listen('hello', () => this.run ?? this.showList());
    model.listen('state', () => {
      this.allow();
      this.watch();
      this.keepStage();
    });
    // Beside states, which a browser brings to pages that nobody sees, too.
    setInterval(() => this.keepStage(), SIGN_MS);
  }

  /** The lesson that another page plays, or null. */
  other() {
    const lesson = this.model.state?.lesson ?? null;
    return lesson && !this.words.has(lesson.page) ? lesson : null;
  }

  /** Tells the cluster that the lesson goes on; sees when another page has ended it. */
  keepStage() {
    const { run } = this;
    if (!run?.hasBegun || run.isOver || run.isClosing || run.isLost) return;
    if (this.model.state?.lesson?.page === run.stage.page) run.wasSeen = true;
    else if (run.wasSeen) {
      this.lose(run);
      return;
    }
    const now = performance.now();
    const [title, text] = [this.title.textContent, this.text.textContent];
    const isSame = run.said === title + text && now - run.saidAt_ms < SIGN_MS;
    if (isSame) return;
    [run.said, run.saidAt_ms] = [title + text, now];
    run.stage.show(title, text);
  }

  /** Another page, or this one's own silence, has ended the lesson. */
  lose(run) {
    run.isLost = true;
    run.isLeft = true;
    run.wake?.();
    say('The lesson was ended elsewhere; what it broke is put right.', 'failed');
  }

  isPlaying() {
    return this.run !== null && !this.run.isOver;
  }

  canPlay() {
    return this.model.hello?.playground === 'cluster';
  }

  showList() {
    const cards = LESSONS.map((lesson, place) => {
      const start = button('Play', () => this.start(lesson), {
        id: `lesson-${lesson.name}`, class: 'lesson-play', 'aria-label': `Play ${lesson.title}`,
      });
      return element('li', { class: 'lesson-card' },
        element('span', { class: 'lesson-number', text: place + 1 }),
        element('div', {}, element('h3', { text: lesson.title }),
          element('p', { text: lesson.about })),
        start);
    });
    this.note = element('p', { class: 'summary pad' });
    this.watched = element('article', { class: 'lesson watched', id: 'lesson-watched' },
      element('h2', {}), element('h3', { class: 'step-title' }),
      element('p', { class: 'step-text' }),
      element('div', { class: 'row end' }, button('Take over', () => this.takeOver(), {
        id: 'lesson-take', title: 'End it there, and have what it broke put right',
      })));
    this.place.replaceChildren(this.watched, this.note,
      element('ol', { class: 'lesson-list' }, ...cards));
    this.allow();
    this.watch();
  }

  /** Shows what another page plays. */
  watch() {
    if (this.run) return;
    const other = this.other();
    setAttribute(this.watched, 'hidden', !other);
    if (!other) return;
    const [heading, title, text] = this.watched.children;
    const lesson = LESSONS.find(({ name }) => name === other.name)?.title ?? other.name;
    setText(heading, `${lesson}, played on another page of node ${other.node}`);
    setText(title, other.title);
    setText(text, other.text);
  }

  /** Ends what another page plays, so that this one can. */
  async takeOver() {
    const other = this.other();
    if (other) await this.play.ask('lesson-end', { lesson: other.page });
  }

  allow() {
    if (this.run) return;
    const missing = this.model.hello && !this.canPlay()
      ? 'Lessons break things on purpose, so they play in kvorum dev only.' : null;
    setText(this.note, missing ?? 'Each plays on the cluster that you see, and puts right what '
      + 'it broke.');
    for (const start of this.place.querySelectorAll('.lesson-play')) {
      start.disabled = !this.canPlay() || this.model.connection !== 'live'
        || this.other() !== null;
    }
  }

  /** Why no lesson can begin just now, or null. */
  missing() {
    const { state } = this.model;
    if (this.model.voters().filter((node) => node.state === 'up').length < 3) {
      return 'Lessons need three voting nodes that answer: revive or add some first.';
    }
    if ((state.links ?? []).length) return 'Lessons begin with whole links: heal all first.';
    if (state.frozen) return 'Lessons need time to pass: let it run first.';
    return state.leader ? null : 'Lessons begin with a leader: wait for one.';
  }

  start(lesson) {
    const missing = this.missing();
    if (missing) {
      say(missing, 'failed');
      return;
    }
    this.onStart();
    const stage = new Stage(this.model, this.play, lesson.name, drawn());
    this.words.add(stage.page);
    this.run = { lesson, stage, place: 0, isHeld: false, wake: null, isOver: false };
    // A phone makes room, so that the ring and the words about it are seen together.
    document.body.dataset.lesson = 'on';
    window.scrollTo(0, 0);
    this.build();
    this.perform();
  }

  build() {
    const { lesson } = this.run;
    this.steps = element('ol', { class: 'lesson-steps' });
    this.title = element('h3', { class: 'step-title' });
    this.text = element('p', { class: 'step-text' });
    this.wait = element('p', { class: 'step-wait', role: 'status' });
    this.bar = element('div', { class: 'step-bar' }, element('i', {}));
    this.hold = button('Pause', () => this.turnHold(), { id: 'lesson-pause', title: 'p' });
    this.forward = button('Next', () => this.next(), { id: 'lesson-next', title: '→' });
    this.leave = button('Leave', () => this.stop(), { id: 'lesson-leave' });
    this.place.replaceChildren(element('article', { class: 'lesson', id: 'lesson' },
      element('header', {}, element('h2', { text: lesson.title }), this.steps),
      this.title, this.text, this.wait, this.bar,
      element('div', { class: 'row end' }, this.leave, this.hold, this.forward)));
    keep(this.steps, lesson.steps.map((_, place) => place), (place) => place,
      () => element('li', {}));
  }

  turnHold() {
    const { run } = this;
    if (!run || run.isOver) return;
    run.isHeld = !run.isHeld;
    setText(this.hold, run.isHeld ? 'Go on' : 'Pause');
    for (const filling of this.bar.getAnimations({ subtree: true })) filling.cancel();
    if (!run.isHeld) this.next();
  }

  /** Goes to the next step as soon as the present one is done. */
  next() {
    if (this.run?.isOver) this.end();
    else this.run?.wake?.();
  }

  async perform() {
    const { run } = this;
    let failure = null;
    try {
      await run.stage.begin();
      run.hasBegun = true;
      for (; run.place < run.lesson.steps.length && !run.isLeft; run.place += 1) {
        await this.step(run, run.lesson.steps[run.place]);
      }
    } catch (error) {
      if (!(error instanceof LessonError)) console.error(error);
      failure = error.message;
    }
    await this.close(run, failure);
  }

  async step(run, step) {
    const { stage } = run;
    for (const [place, item] of [...this.steps.children].entries()) {
      const state = place < run.place ? 'done' : place === run.place ? 'now' : 'later';
      setAttribute(item, 'data-state', state);
    }
    setText(this.title, step.title);
    setText(this.text, told(step.text, stage));
    setText(this.wait, '');
    this.wait.dataset.state = 'none';
    stage.mark();
    this.forward.disabled = true;
    await step.act?.(stage);
    setText(this.text, told(step.text, stage));
    if (step.until) await this.waitFor(run, step);
    setText(this.text, told(step.text, stage));
    this.forward.disabled = false;
    if (!run.isLeft) await this.stay(run);
  }

  async waitFor(run, step) {
    const within_ms = step.within_ms ?? WITHIN_MS;
    this.wait.dataset.state = 'waiting';
    setText(this.wait, `waiting: ${told(step.what, run.stage)}`);
    const holds = await run.stage.until(() => run.isLeft || step.until(run.stage), within_ms);
    if (run.isLeft) return;
    this.wait.dataset.state = holds ? 'seen' : 'missed';
    const what = told(step.what, run.stage);
    setText(this.wait, holds ? `seen: ${what}`
      : `not seen within ${Math.round(within_ms / 1000)} s: ${what}. The lesson goes on.`);
  }

  /** Stays until the text can have been read, or somebody asks for the next step. */
  stay(run) {
    return new Promise((resolve) => {
      const words = this.text.textContent.split(' ').length;
      const stay_ms = Math.max(STAY_MS_MIN, words * WORD_MS) * this.pace;
      const fill = this.bar.firstElementChild;
      fill.getAnimations?.().forEach((animation) => animation.cancel());
      if (!run.isHeld && stay_ms > 0) {
        fill.animate([{ transform: 'scaleX(0)' }, { transform: 'scaleX(1)' }], stay_ms);
      }
      let timer = null;
      const go = () => {
        clearTimeout(timer);
        run.wake = null;
        resolve();
      };
      run.wake = go;
      timer = setTimeout(() => !run.isHeld && go(), stay_ms);
    });
  }

  stop() {
    const { run } = this;
    if (!run) return;
    if (run.isOver) {
      this.end();
      return;
    }
    run.isLeft = true;
    run.wake?.();
    this.leave.disabled = true;
    setText(this.wait, 'leaving: putting right what was broken');
  }

  async close(run, failure) {
    run.isClosing = true;
    if (run.isLost) {
      run.isOver = true;
      this.end();
      return;
    }
    this.forward.disabled = true;
    setText(this.title, failure ? 'This lesson cannot go on' : 'Putting everything right');
    if (failure) setText(this.text, failure);
    this.wait.dataset.state = 'waiting';
    setText(this.wait, 'healing links, reviving nodes, back to full speed');
    const failed = run.hasBegun ? await run.stage.end() : [];
    run.isOver = true;
    if (run.isLeft) {
      this.end();
      return;
    }
    for (const item of this.steps.children) {
      setAttribute(item, 'data-state', failure ? 'later' : 'done');
    }
    setText(this.title, failure ? 'This lesson ended early' : 'The end');
    if (!failure) setText(this.text, run.lesson.end);
    this.wait.dataset.state = failed.length ? 'missed' : 'seen';
    setText(this.wait, failed.length ? `left behind: ${failed.join('; ')}` : 'the cluster is '
      + 'whole again');
    byId('lesson').dataset.over = failure ? 'failed' : 'done';
    setText(this.forward, 'Other lessons');
    this.forward.disabled = false;
    this.hold.hidden = true;
    this.leave.hidden = true;
  }

  end() {
    this.run = null;
    delete document.body.dataset.lesson;
    this.showList();
  }
}

function told(text, stage) {
  return typeof text === 'function' ? text(stage) : text;
}
