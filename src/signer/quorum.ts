/** Steps 3 and 4 of protocol §5: the statements of all builders, and whether enough of them agree. */
import { isExpired } from '../policy/approval-policy.ts';
import { enrolLonger } from '../policy/again.ts';
import { slotsOf } from '../policy/builder-key.ts';
import { missedEnrolment, tooFewEnrolled } from '../policy/enrolment-missed.ts';
import { disagreementsOf, judgeQuorum } from '../policy/quorum.ts';
import type { Approval } from '../records/approval.ts';
import { buildPath, statementFile, VARIANTS } from '../records/paths.ts';
import type { Slot } from '../records/names.ts';
import type { Reason } from '../records/refusal.ts';
import type { StatedSubject } from '../records/statement.ts';
import type { Approved } from './approval.ts';
import { refuse } from './refuse.ts';
import { Stop } from './result.ts';
import type { Round } from './signer.ts';
import { hearSlot } from './slot.ts';
import type { Heard, SealedSlot } from './slot.ts';
import { expired, spoilt } from './spoilt.ts';
import { stageOf } from './stage.ts';

/** Enough builders agree, and the log has what they say. */
export interface Sealed {
  /** All that agree, a slot each, ascending. */
  readonly statements: readonly SealedSlot[];
  readonly subjects: readonly StatedSubject[];
  /** The depot's statement files that this rests on. */
  readonly files: ReadonlySet<string>;
}

/** Every statement that is there, judged, and logged as soon as it is seen; and the verdict over all. Throws unable, refused(`nonce-unusable`). */
export async function sealingStatements(round: Round, approved: Approved): Promise<Sealed | Stop> {
  const { approval } = approved;
  const heard: Heard[] = [];
  for (const slot of slotsOf(approval)) heard.push(sharing(await hearSlot(round, approved, slot), heard));
  const sealed = heard.flatMap((each) => each.sealed ?? []);

  // 1. Dissent, and what a builder must not vouch for, ends the build however many agree.
  const dissent = judgeQuorum(approval, [...sealed, ...heard.flatMap(({ others }) => others)]);
  const reasons = [
    ...heard.flatMap(usedTwice),
    ...(dissent.verdict === 'conflict' ? dissent.reasons : []),
    ...heard.flatMap((each) => each.reasons),
  ];
  if (reasons.length > 0) return refuse(round, approved, reasons);

  // 2. What the depot may have spoilt is said. After the approval's end nothing new counts, so neither does that.
  const isOver = isExpired(approval, round.now());
  const late = heard.flatMap((each) => each.late);
  const count = judgeQuorum(approval, sealed);
  // A dissent may lie behind a nonce that can't be opened. Where too few agree, nothing can come of it after the end.
  const locked = heard.find((each) => each.locked !== null)?.locked;
  if (locked && !(isOver && count.verdict !== 'agreed')) throw locked;
  if (count.verdict === 'agreed') {
    const counts = ({ sealed: own, spoilt: said }: Heard): boolean =>
      own !== null && said?.code !== 'statement-invalid';
    const found = heard.find((each) => each.spoilt !== null && !(isOver && !counts(each)))?.spoilt;
    if (found) return spoilt(round, approved, found);
    for (const { where, text } of late)
      round.report({ kind: 'note', build: approval.build, text: `${where}: ${text}, and does not count` });
    return {
      statements: sealed,
      subjects: count.subjects,
      files: new Set(heard.flatMap(({ files }) => files)),
    };
  }

  // 3. Too few.
  if (late.length > 0) return refuse(round, approved, late);
  const found = heard.find((each) => each.spoilt !== null)?.spoilt;
  if (found) return spoilt(round, approved, found);
  const missing = heard.filter((each) => each.sealed === null).map(({ slot }) => slot);
  if (!isOver) return waiting(round, approval, sealed.length, missing);
  if (sealed.length === 0) return expired(round, approval);
  const text = `${agreed(approval, sealed.length)} when the approval ended at ${approval.expires}; ${missing.join(', ')} had not sealed it`;
  return refuse(round, approved, [{ code: 'expired', where: 'statements', text }]);
}

/** Lists that are the same are one: sixteen of a hundred thousand artifacts would take a gigabyte. */
function sharing(heard: Heard, before: readonly Heard[]): Heard {
  const first = before.find(({ sealed }) => sealed !== null)?.sealed?.statement.subjects;
  const { sealed } = heard;
  if (!first || !sealed || disagreementsOf([first, sealed.statement.subjects]).length > 0) return heard;
  return { ...heard, sealed: { ...sealed, statement: { ...sealed.statement, subjects: first } } };
}

/** A builder that speaks against itself; who said what is in the table that follows. */
const usedTwice = ({ slot, sealed, others }: Heard): Reason[] =>
  sealed === null || others.length === 0
    ? []
    : [
        {
          code: 'conflict',
          where: statementFile(slot),
          text: `builder ${slot} vouched for two different sets of artifacts: its ticket was used twice`,
        },
      ];

/** The same, if the depot shows a statement that was not there: for a last look, when hours have passed. Throws as `sealingStatements`. */
export async function sealedSince(round: Round, approved: Approved, sealed: Sealed): Promise<Sealed | Stop> {
  const { approval } = approved;
  for (const slot of slotsOf(approval))
    for (const variant of VARIANTS) {
      const file = statementFile(slot, variant);
      if (sealed.files.has(file)) continue;
      if ((await round.depot.size(buildPath(approval.build, file))) === null) continue;
      return sealingStatements(round, approved);
    }
  return sealed;
}

function waiting(round: Round, approval: Approval, have: number, missing: readonly Slot[]): Stop {
  const { build } = approval;
  const { enrolments } = round.state.journal.history.build(build) ?? { enrolments: new Map() };
  const out = missedEnrolment(approval, new Set(enrolments.keys()), round.now());
  const tooFew = tooFewEnrolled(approval, out);
  const left = missing.filter((slot) => !out.includes(slot));
  const text = tooFew ?? `it waits for the statement of ${left.join(', ')}`;
  const whole = have === 0 ? text : `${agreed(approval, have)} so far; ${text}`;
  const hint = tooFew === null ? '' : enrolLonger(round.project, approval);
  return new Stop('waiting', stageOf(round, approval), 'statement-waits', whole, hint);
}

const agreed = ({ quorum }: Approval, have: number): string =>
  `${have} of ${quorum} builder${quorum === 1 ? '' : 's'} agree`;
