// Messages in flight: a dot for each that was sampled, much slower than the message was.

import { drawn } from './dom.js';
import { along, linkEnds } from './ring_layout.js';
import { termColor } from './model.js';

/** How long a dot takes for a link, whatever the message took. */
const FLIGHT_MS = 520;
/** Further dots are not drawn: more are a line and not messages. */
const FLIGHTS_MAX = 120;
/** Where a dot ends that never arrives. */
const LOST_AT = 0.42;
/** Events of a longer time than between two bunches do not put dots off any longer. */
const AFTER_MS_MAX = 400;
const RADIUS_PX = { entries: 4.5, heartbeat: 3, answer: 2.5, vote: 4.5 };
/** Dots run on the right of the link, so that question and answer do not meet. */
const ASIDE_PX = 5;

/** What the dot of a message looks like: entries, heartbeat, vote, or an answer and all else. */
export function kindOf(event) {
  if (/vote/i.test(event.type)) return 'vote';
  if (event.type === 'Heartbeat') return 'heartbeat';
  if (event.type === 'AppendEntries') return event.first === undefined ? 'heartbeat' : 'entries';
  return 'answer';
}

export class Flights {
  constructor(model, place) {
    this.model = model;
    this.place = place;
    this.flying = [];
  }

  /** Starts a dot for each message among `events` that was sent. */
  take(events, layout, isCalm) {
    const sent = events.filter((event) => event.event === 'message' && event.to);
    if (!sent.length || isCalm || document.hidden) return;
    // Events come in bunches; dots keep the order and the distances of what happened.
    const first_us = sent[0].at_us;
    const now = performance.now();
    for (const event of sent) {
      if (this.flying.length >= FLIGHTS_MAX) return;
      const [from, to] = [layout.places.get(event.node), layout.places.get(event.to)];
      if (!from || !to) continue;
      const after_ms = Math.min(AFTER_MS_MAX, (event.at_us - first_us) / 1000);
      this.flying.push(this.start(event, from, to, now + after_ms));
    }
  }

  start(event, from, to, starts_ms) {
    const fault = this.model.link(event.node, event.to);
    const kind = kindOf(event);
    const dot = drawn('circle', { class: `flight ${kind}`, r: RADIUS_PX[kind] });
    dot.style.setProperty('--term', termColor(event.of_term ?? event.term ?? 0));
    dot.setAttribute('visibility', 'hidden');
    this.place.append(dot);
    return {
      dot, starts_ms, ends: linkEnds(from, to, ASIDE_PX), isLost: Boolean(fault?.cut),
      takes_ms: Math.max(FLIGHT_MS, Math.min(5000, fault?.delay_ms ?? 0)),
    };
  }

  /** Moves every dot to where it is at `now`, and takes away what has arrived. */
  move(now) {
    this.flying = this.flying.filter((flight) => {
      const { dot, starts_ms, takes_ms, ends, isLost } = flight;
      if (now < starts_ms) return true;
      const share = (now - starts_ms) / takes_ms;
      if (share >= (isLost ? LOST_AT + 0.15 : 1)) {
        dot.remove();
        return false;
      }
      const { x, y } = along(ends, isLost ? Math.min(share, LOST_AT) : share);
      dot.setAttribute('cx', x.toFixed(1));
      dot.setAttribute('cy', y.toFixed(1));
      dot.removeAttribute('visibility');
      if (isLost && share > LOST_AT) {
        dot.setAttribute('opacity', Math.max(0, 1 - (share - LOST_AT) / 0.15).toFixed(2));
      }
      return true;
    });
  }
}
