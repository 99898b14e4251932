// Dark and light: what the system prefers, unless somebody chose here.

const STORED = 'kvorum-theme';

function stored() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    // A browser that keeps nothing for this page still shows it.
    return null;
  }
}

/** Shows the theme that was chosen, if one was. */
export function startTheme() {
  const chosen = stored();
  if (chosen) document.documentElement.dataset.theme = chosen;
}

/** Changes to the other theme, and remembers it. */
export function turnTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = isDark ? 'light' : 'dark';
  try {
    localStorage.setItem(STORED, root.dataset.theme);
  } catch {
    // As above: it holds until the page is left.
  }
}
