// Where nodes, their words and the links between them lie: arithmetic alone.

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
  return { places, radius, isNarrow, width, height };
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
