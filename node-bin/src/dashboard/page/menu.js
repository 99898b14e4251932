// A small menu beside what was clicked: what it is, and what can be done to it.

import { button, element } from './dom.js';

let shown = null;

/** Closes the menu, if one is open, and gives the focus back. */
export function closeMenu() {
  if (!shown) return false;
  const { menu, opener, outside } = shown;
  shown = null;
  document.removeEventListener('pointerdown', outside, true);
  menu.remove();
  opener?.focus?.({ preventScroll: true });
  return true;
}

function place(menu, at) {
  const margin = 8;
  const { innerWidth: width, innerHeight: height } = window;
  const box = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(margin, Math.min(at.x, width - box.width - margin))}px`;
  menu.style.top = `${Math.max(margin, Math.min(at.y, height - box.height - margin))}px`;
}

function moveFocus(menu, step) {
  const items = [...menu.querySelectorAll('button:not(:disabled)')];
  const now = items.indexOf(document.activeElement);
  items[(now + step + items.length) % items.length]?.focus();
}

/**
 * Opens a menu at a place on the screen: `title`, `facts` as pairs of words, and `actions` as
 * {text, act, danger, id}. `opener` gets the focus back.
 */
export function openMenu({ title, facts, actions, at, opener }) {
  closeMenu();
  const menu = element('div', { class: 'menu', role: 'dialog', 'aria-label': title },
    element('h3', { text: title }));
  if (facts.length) {
    menu.append(element('dl', {}, ...facts.flatMap(([name, value]) => [
      element('dt', { text: name }), element('dd', { text: value }),
    ])));
  }
  if (actions.length) {
    menu.append(element('div', { class: 'menu-actions' }, ...actions.map((action) => (
      button(action.text, () => {
        closeMenu();
        action.act();
      }, { id: action.id, class: action.danger ? 'danger-quiet' : null })))));
  }
  menu.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') moveFocus(menu, 1);
    else if (event.key === 'ArrowUp') moveFocus(menu, -1);
    else return;
    event.preventDefault();
  });
  document.body.append(menu);
  place(menu, at);
  const outside = (event) => {
    if (!menu.contains(event.target)) closeMenu();
  };
  document.addEventListener('pointerdown', outside, true);
  shown = { menu, opener, outside };
  (menu.querySelector('button') ?? menu).focus();
}
