// Where nodes, their words and the links between them lie: arithmetic alone.

/** The height of a line of words, and how far they stand from a circle that they are beside. */
export const LINE_PX = 15;
export const ASIDE_PX = 20;
const LINES_MAX = 4;
/** A ring of many nodes that is lower has no room for long lines beside its topmost node. */
const LOW_PX = 220;
/** About what a letter of them is wide. */
const LETTER_PX = 6.2;
/** What a mark of a link is high, and keeps free around itself. */
const MARK_PX = 18;
const FREE_PX = 2;
/** Where else on its link a mark may stand: so far from where it would be, the nearest first. */
const DETOURS = Array.from({ length: 18 }, (_, place) => (
  0.04 * Math.ceil((place + 1) / 2) * (place % 2 ? -1 : 1)));
const SHARE_MIN = 0.12;

/** How a ring of `ids` fills a place of `width` × `height` pixels. */
export function layOut(ids, width, height) {
  const isNarrow = width < 480;
  const number = ids.length;
  const radius = Math.min(isNarrow ? 25 : 33, Math.max(15, (isNarrow ? 95 : 150) / number + 4));
  const words = isNarrow ? 74 : 52;
  const top = radius + 16;
  const bottom = height - radius - words - 10;
  const center = { x: width / 2, y: (top + bottom) / 2 };
  const reach_x = Math.min(width / 2 - (isNarrow ? 52 : 96), number < 4 ? height * 0.62 : height);
  const places = new Map();
  // An even number would put words under words if one stood at the very top.
  const turn = number === 4 ? Math.PI / 4 : 0;
  let lowest = -1;
  for (const index of ids.keys()) {
    lowest = Math.max(lowest, Math.sin(angleOf(index, number, turn)));
  }
  for (const [index, id] of ids.entries()) {
    const angle = angleOf(index, number, turn);
    const sine = Math.sin(angle);
    // Whoever is lowest stands on the ground, so that no height is left unused.
    const y_share = number === 1 ? 0 : sine > 0 ? sine / lowest : sine;
    const x_reach = number === 1 ? 0 : reach_x;
    const x = center.x + x_reach * Math.cos(angle);
    const y = number === 1 ? center.y : center.y + ((bottom - top) / 2) * y_share;
    const isAside = number > 1 && Math.sin(angle) < -0.9;
    places.set(id, { id, x, y, radius, isAside });
  }
  for (const place of places.values()) {
    place.isStacked = isNarrow || (place.isAside && bottom - top < LOW_PX && number > 4);
    place.lines = linesUnder(place, [...places.values()]);
  }
  return { places, radius, width, height };
}

/** How many lines of words fit below a node before another node begins; one stands always. */
function linesUnder(place, others) {
  if (place.isAside) return LINES_MAX;
  const half = place.isStacked ? 40 : 75;
  const below = others.filter((other) => (
    other.y > place.y && Math.abs(other.x - place.x) < half + other.radius));
  const end = Math.min(...below.map((other) => other.y - other.radius - 8));
  const start = place.y + wordsFirst(place, 1) - LINE_PX + 4;
  return Math.max(1, Math.min(LINES_MAX, Math.floor((end - start) / LINE_PX)));
}

function angleOf(index, number, turn) {
  return -Math.PI / 2 + turn + (2 * Math.PI * index) / Math.max(1, number);
}

/** The ends of the link from one place to another, outside of both circles; moved to its right
 * by `aside` pixels, so that both directions can be told apart. */
export function linkEnds(from, to, aside = 0) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const unit = { x: dx / length, y: dy / length };
  const gap = from.radius + 11;
  const move = { x: -unit.y * aside, y: unit.x * aside };
  return {
    x1: from.x + unit.x * gap + move.x,
    y1: from.y + unit.y * gap + move.y,
    x2: to.x - unit.x * gap + move.x,
    y2: to.y - unit.y * gap + move.y,
  };
}

/** The point that lies so far, from 0 to 1, on a link. */
export function along({ x1, y1, x2, y2 }, share) {
  return { x: x1 + (x2 - x1) * share, y: y1 + (y2 - y1) * share };
}

/** How far below a node's centre its first line of words stands. */
export function wordsFirst(place, lines) {
  return place.isAside ? -((lines - 1) * LINE_PX) / 2 + 4 : place.radius + 27;
}

/** What a node and its words cover: two boxes {x1, y1, x2, y2}. */
export function wordsBox(place, lines) {
  const { x, y, radius } = place;
  const told = lines.filter(Boolean);
  const width = Math.max(0, ...told.map((line) => line.length)) * LETTER_PX;
  const left = place.isAside ? x + radius + ASIDE_PX : x - width / 2;
  const first = y + wordsFirst(place, lines.length) - LINE_PX + 4;
  const round = radius + 8;
  return [
    { x1: x - round, y1: y - round, x2: x + round, y2: y + round },
    { x1: left, y1: first, x2: left + width, y2: first + lines.length * LINE_PX },
  ];
}

function boxAt({ x, y }, width) {
  return {
    x1: x - width / 2 - FREE_PX, y1: y - MARK_PX / 2 - FREE_PX,
    x2: x + width / 2 + FREE_PX, y2: y + MARK_PX / 2 + FREE_PX,
  };
}

/** How much of two boxes is the same, in square pixels. */
function overlap(one, other) {
  const width = Math.min(one.x2, other.x2) - Math.max(one.x1, other.x1);
  const height = Math.min(one.y2, other.y2) - Math.max(one.y1, other.y1);
  return Math.max(0, width) * Math.max(0, height);
}

/**
 * Where on their links marks stand, as a Map of key to share: each of `marks` {key, ends, width,
 * at} as near to `at` as it covers none of the boxes `taken` and no other mark, or covers least.
 */
export function markPlaces(marks, taken) {
  const boxes = [...taken];
  const places = new Map();
  for (const { key, ends, width, at } of marks) {
    const shares = [0, ...DETOURS].map((detour) => at + detour)
      .filter((share) => share >= SHARE_MIN && share <= 1 - SHARE_MIN);
    let best = null;
    for (const share of shares) {
      const box = boxAt(along(ends, share), width);
      const covered = boxes.reduce((sum, other) => sum + overlap(box, other), 0);
      if (best === null || covered < best.covered) best = { share, box, covered };
      if (covered === 0) break;
    }
    boxes.push(best.box);
    places.set(key, best.share);
  }
  return places;
}
