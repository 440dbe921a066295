/** Curves as SVG: two panels with logarithmic axes, a line a series, its name at its end. */

export interface Series {
  readonly name: string;
  /** x ascending; both above zero. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Panel {
  readonly title: string;
  readonly x: string;
  readonly series: readonly Series[];
}

const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9'];
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [420, 320, 60, 70, 36, 44];

/** The powers of ten around all values, as exponents. */
function decades(values: readonly number[]): readonly [number, number] {
  const low = Math.floor(Math.log10(Math.min(...values)));
  return [low, Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))))];
}

function text(x: number, y: number, content: string, more = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escaped}</text>`;
}

function panel({ title, x, series }: Panel, offset: number): string {
  const points = series.flatMap((each) => each.points);
  const [xLow, xHigh] = decades(points.map(([value]) => value));
  const [yLow, yHigh] = decades(points.map(([, value]) => value));
  const [across, down] = [WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
  const atX = (exponent: number): number => offset + LEFT + ((exponent - xLow) / (xHigh - xLow)) * across;
  const atY = (exponent: number): number => TOP + (1 - (exponent - yLow) / (yHigh - yLow)) * down;
  const parts = [text(offset + LEFT, TOP - 14, title, 'font-weight="bold"')];
  for (let each = xLow; each <= xHigh; each++) {
    parts.push(`<path d="M${atX(each)} ${TOP}v${down}" stroke="#ddd"/>`);
    parts.push(text(atX(each), TOP + down + 16, (10 ** each).toLocaleString('en'), 'text-anchor="middle"'));
  }
  for (let each = yLow; each <= yHigh; each++) {
    parts.push(`<path d="M${offset + LEFT} ${atY(each)}h${across}" stroke="#ddd"/>`);
    const label = (10 ** each).toLocaleString('en', { maximumFractionDigits: 3 });
    parts.push(text(offset + LEFT - 6, atY(each) + 4, label, 'text-anchor="end"'));
  }
  parts.push(text(offset + LEFT + across / 2, HEIGHT - 8, x, 'text-anchor="middle"'));

  // names that would lie on each other are moved apart
  const ends = series
    .map((each, index) => ({ ...each, colour: COLOURS[index % COLOURS.length] ?? '' }))
    .map((each) => ({ ...each, y: atY(Math.log10(each.points.at(-1)?.[1] ?? 1)) }))
    .toSorted((a, b) => a.y - b.y);
  let above = -Infinity;
  for (const { name, points: own, colour, y } of ends) {
    const path = own.map(([px, py]) => `${atX(Math.log10(px)).toFixed(1)} ${atY(Math.log10(py)).toFixed(1)}`);
    parts.push(`<path d="M${path.join('L')}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    above = Math.max(y + 4, above + 13);
    parts.push(text(atX(Math.log10(own.at(-1)?.[0] ?? 1)) + 6, above, name, `fill="${colour}"`));
  }
  return parts.join('\n');
}

/** Panels side by side. Series without points are left out; so is a panel without series. */
export function plot(panels: readonly Panel[]): string {
  const shown = panels
    .map((each) => ({ ...each, series: each.series.filter(({ points }) => points.length > 0) }))
    .filter(({ series }) => series.length > 0);
  const width = WIDTH * shown.length;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" width="${width}" height="${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${width}" height="${HEIGHT}" fill="#fff"/>`,
    ...shown.map((each, index) => panel(each, index * WIDTH)),
    '</svg>',
    '',
  ].join('\n');
}
