/** Holds figures against a goal: whether it is met, and as far as the figures of the run show it, why not. */
import { median } from './measure.ts';
import type { Figures } from './measure.ts';

/** The median of a figure; NaN where it was not measured. */
export type Medians = (name: string) => number;

/** Something that was measured, and may stand in the way. */
export interface Cause {
  readonly text: string;
  /** How much of the gap this is, in the unit of the gap; nothing where it was not measured. */
  readonly explains: number;
}

export interface Goal {
  readonly section: string;
  readonly text: string;
  readonly value: (of: Medians) => number;
  readonly wanted: { readonly atLeast: number } | { readonly atMost: number };
  readonly unit: '×' | 'MB' | '/s' | 'ms' | 'B' | '';
  /** What nobody can be better than on this machine, in the unit of the goal, and whose that is. */
  readonly bound?: (of: Medians) => { readonly value: number; readonly text: string };
  /** By how much it is missed, in a unit that causes add up in: seconds, MB. */
  readonly gap?: (of: Medians) => number;
  readonly causes: (of: Medians) => readonly Cause[];
}

export interface Outcome {
  readonly section: string;
  readonly text: string;
  readonly wanted: string;
  readonly value: string;
  readonly verdict: 'met' | 'missed' | 'not measured';
  /** Empty unless it was missed. */
  readonly cause: string;
}

/** What explains less of a gap than this share explains nothing. */
const TELLING = 0.5;

/** Holds figures against one goal. What was not measured is neither met nor missed. */
export function judge(goal: Goal, figures: Figures): Outcome {
  const of: Medians = (name) => median(figures[name]?.values ?? []);
  const value = goal.value(of);
  const limit = 'atLeast' in goal.wanted ? goal.wanted.atLeast : goal.wanted.atMost;
  const verdict = Number.isNaN(value) ? 'not measured' : reaches(goal, value) ? 'met' : 'missed';
  return {
    section: goal.section,
    text: goal.text,
    wanted: amount(`${'atLeast' in goal.wanted ? 'at least' : 'at most'} ${limit}`, goal.unit),
    value: Number.isNaN(value) ? '–' : amount(digits(value), goal.unit),
    verdict,
    cause: verdict === 'missed' ? causeText(goal, of) : '',
  };
}

const reaches = ({ wanted }: Goal, value: number): boolean =>
  'atLeast' in wanted ? value >= wanted.atLeast : value <= wanted.atMost;

/** Why a goal is missed: what its causes explain between them, or that they do not. */
function causeText(goal: Goal, of: Medians): string {
  const bound = goal.bound?.(of);
  if (bound && !Number.isNaN(bound.value) && !reaches(goal, bound.value))
    return `out of reach on this machine: ${bound.text}`;
  const gap = goal.gap?.(of) ?? NaN;
  const measured = goal
    .causes(of)
    // a text with a figure that was not measured says nothing
    .filter(({ text }) => !text.includes('NaN'))
    .map(({ text, explains }) => ({ text, share: explains > 0 && gap > 0 ? explains / gap : 0 }));
  const share = Math.min(
    1,
    measured.reduce((sum, cause) => sum + cause.share, 0),
  );
  const texts = measured.map(({ text }) => text).join('; ') || 'nothing else was measured';
  const percent = `${Math.round(share * 100)} % of the gap`;
  if (share < TELLING) return `not explained: ${texts}${share > 0 ? ` (${percent})` : ''}`;
  return `${texts}: ${percent}`;
}

const amount = (text: string, unit: string): string => (unit === '' ? text : `${text} ${unit}`);

/** Three digits, and no exponent; of what was not measured `NaN`. */
export function digits(value: number): string {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString('en', { maximumFractionDigits: Math.min(decimals, 3) });
}
