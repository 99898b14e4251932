// The charts, drawn on canvases.

import { byId, element, keep, setText } from './dom.js';
import { CHARTS, linesOf } from './metrics.js';
import { PAST_MS, nodeColor } from './model.js';

const LINE_COLORS = ['var(--line-0)', 'var(--line-1)', 'var(--line-2)'];
const REDRAW_MS = 400;

/** What a colour variable of the page is just now, for a canvas knows none. */
function resolved(color, styles) {
  const name = /^var\((--[\w-]+)\)$/.exec(color)?.[1];
  return name ? styles.getPropertyValue(name).trim() : color;
}

/** The round number at or above `value` at which an axis ends; `base` is 1024 for bytes. */
export function roundUp(value, base = 1000) {
  if (!(value > 0)) return 1;
  const unit = base ** Math.max(0, Math.floor(Math.log(value) / Math.log(base)));
  const size = unit * 10 ** Math.max(0, Math.floor(Math.log10(value / unit)));
  return [1, 2, 2.5, 5, 10].map((step) => step * size).find((step) => step >= value);
}

export class Charts {
  constructor(model) {
    this.model = model;
    this.drawn_ms = 0;
    this.figures = CHARTS.map((chart) => {
      const canvas = element('canvas', { role: 'img', 'aria-label': chart.title });
      const keys = element('ul', { class: 'chart-keys' });
      const top = element('span', { class: 'chart-top' });
      const figure = element('figure', { class: 'chart', id: `chart-${chart.id}` },
        element('figcaption', {}, element('b', { text: chart.title }), top),
        keys, element('div', { class: 'chart-body' }, canvas));
      byId('charts').append(figure);
      return { chart, canvas, keys, top };
    });
    model.listen('state', () => this.show());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.show(true));
  }

  show(isWanted = false) {
    const now = performance.now();
    const isSeen = byId('charts').offsetParent !== null;
    if (!isSeen || (!isWanted && now - this.drawn_ms < REDRAW_MS)) return;
    this.drawn_ms = now;
    const styles = getComputedStyle(document.documentElement);
    for (const figure of this.figures) this.draw(figure, styles);
  }

  draw({ chart, canvas, keys, top }, styles) {
    const { looks } = this.model;
    const lines = linesOf(chart, looks).map((line, place) => ({
      ...line, color: line.node ? nodeColor(line.node) : LINE_COLORS[place],
    }));
    const newest = (line) => line.points.at(-1)?.[1] ?? null;
    keep(keys, lines, (line) => line.name, (line) => {
      const key = element('li', { class: line.node ? 'of-node' : null },
        element('i', {}), element('span', {}), element('b', {}));
      key.firstElementChild.style.background = line.color;
      // Many nodes share little room: the number has the colour itself.
      if (line.node) key.children[1].style.color = line.color;
      return key;
    }, (key, line) => {
      setText(key.children[1], line.node ?? line.name);
      setText(key.children[2], chart.show(newest(line)));
      key.title = line.name;
    });
    const values = lines.flatMap((line) => line.points.map(([, value]) => value ?? 0));
    const highest = Math.max(0, ...values);
    const end = roundUp(highest, chart.base);
    setText(top, `${chart.show(end)}${chart.unit ? ` ${chart.unit}` : ''}`);
    drawLines(canvas, lines, end, looks.at(-1)?.at_ms ?? 0, styles);
  }
}

function drawLines(canvas, lines, end, now_ms, styles) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const bottom = height - 2;
  const y = (value) => bottom - (value / end) * (bottom - 4);
  const x = (at_ms) => width - ((now_ms - at_ms) / PAST_MS) * width;

  pen.strokeStyle = resolved('var(--grid)', styles);
  pen.lineWidth = 1;
  pen.beginPath();
  for (const share of [0, 0.5, 1]) {
    const level = Math.round(y(end * share)) + 0.5;
    pen.moveTo(0, level);
    pen.lineTo(width, level);
  }
  pen.stroke();

  pen.lineJoin = 'round';
  for (const line of lines) {
    pen.strokeStyle = resolved(line.color, styles);
    pen.lineWidth = 1.5;
    pen.beginPath();
    let isDrawing = false;
    for (const [at_ms, value] of line.points) {
      if (value === null) {
        isDrawing = false;
      } else if (isDrawing) {
        pen.lineTo(x(at_ms), y(value));
      } else {
        pen.moveTo(x(at_ms), y(value));
        isDrawing = true;
      }
    }
    pen.stroke();
  }
}
