// Numbers as people read them, always as wide as their neighbours.

const GROUPED = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** A count, with thin groups of three. */
export function count(value) {
  return value === null || value === undefined ? '–' : GROUPED.format(value);
}

/** A count in at most four digits, such as 12.3 k. */
export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (value < 10 && !Number.isInteger(value)) return value.toFixed(1);
  if (value < 10_000) return GROUPED.format(Math.round(value));
  for (const [unit, size] of [['G', 1e9], ['M', 1e6], ['k', 1e3]]) {
    if (value >= size) return `${(value / size).toFixed(value / size < 100 ? 1 : 0)} ${unit}`;
  }
  return GROUPED.format(value);
}

/** Bytes in binary units. */
export function bytes(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** A time given in microseconds. */
export function micros(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (value < 1000) return `${Math.round(value)} µs`;
  if (value < 1e6) return `${(value / 1000).toFixed(value < 1e5 ? 1 : 0)} ms`;
  return `${(value / 1e6).toFixed(1)} s`;
}

/** The time of day of a wall clock in microseconds, to the millisecond. */
export function clockTime(at_us) {
  const date = new Date(at_us / 1000);
  const two = (number) => String(number).padStart(2, '0');
  const millis = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}

/** "1 node", "2 nodes". */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? '' : 's'}`;
}
