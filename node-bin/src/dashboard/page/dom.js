// Elements, made and changed without HTML: whatever comes from a cluster is text.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'text') node.textContent = value;
    else if (name === 'value') node.value = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** An element of HTML; `on...` are listeners, `text` is its content, the rest attributes. */
export function element(name, properties, ...children) {
  return fill(document.createElement(name), properties, children);
}

/** The same of SVG. */
export function drawn(name, properties, ...children) {
  return fill(document.createElementNS(SVG, name), properties, children);
}

/** A button that does `act` and never submits anything. */
export function button(text, act, properties) {
  return element('button', { type: 'button', text, onclick: act, ...properties });
}

/** Writes text only where it changed, so that selections and readers stay undisturbed. */
export function setText(node, text) {
  const written = String(text);
  if (node.textContent !== written) node.textContent = written;
}

/** Writes an attribute only where it changed; null takes it away. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

/**
 * Makes the children of `parent` those of `items`, in order: kept by key, so that focus and
 * animations survive, made by `make(item)`, brought up to date by `update(child, item)`.
 */
export function keep(parent, items, keyOf, make, update) {
  const old = new Map();
  for (const child of [...parent.children]) old.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = old.get(key);
    old.delete(key);
    if (!child) {
      child = make(item);
      child.dataset.key = key;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update?.(child, item);
  }
  for (const child of old.values()) child.remove();
}

export function byId(id) {
  return document.getElementById(id);
}
