/**
 * gpgv's status lines as a verdict (GnuPG's doc/DETAILS, "Format of the status-fd output").
 *
 * The exit code is no verdict: it is 0 for expired and revoked keys, for SHA-1, for text mode. A VALIDSIG line
 * is none either: it is there before a BADSIG, before an ERROR, after an EXPSIG. So the whole transcript
 * must be the one of a good signature, line for line, and everything else is refused.
 */
import type { Fingerprint } from '../records/names.ts';

/** What gpgv must say about a good signature. */
export interface Expected {
  readonly primary: Fingerprint;
  readonly signingKey: Fingerprint;
  /** Unix seconds. */
  readonly created: number;
  readonly algorithmId: number;
  readonly hashId: number;
  /** Whether the signature carries notations or a policy URI, which gpgv then repeats. */
  readonly annotated: boolean;
}

/** How a gpgv ended. */
export interface Ending {
  readonly code: number | null;
  readonly killed: 'deadline' | 'output' | null;
  /** All that it wrote to its status descriptor. */
  readonly status: Buffer;
}

/** Lines that must be there, each once and in this order. */
const VERDICT = ['NEWSIG', 'GOODSIG', 'VALIDSIG'];

/** Null if gpgv accepted exactly the signature that is expected; else what was different, for a person. */
export function transcriptProblem({ code, killed, status }: Ending, expected: Expected): string | null {
  if (killed === 'deadline') return 'gpgv did not end in time';
  if (killed === 'output') return 'gpgv talks without end';

  const text = status.toString('utf8');
  const lines = text.split('\n');
  if (lines.pop() !== '') return 'gpgv was cut short';
  const form = lineForms(expected);
  for (const line of lines) {
    const [, keyword = ''] = /^\[GNUPG:\] ([A-Z_]+)(?: |$)/.exec(line) ?? [];
    if (!form.get(keyword)?.test(line.slice('[GNUPG:] '.length))) return unexpected(keyword);
  }
  const verdict = lines
    .map((line) => line.split(' ')[1] ?? '')
    .filter((keyword) => VERDICT.includes(keyword));
  if (verdict.join() !== VERDICT.join()) return `gpgv said ${short(verdict.join(', ')) || 'nothing'}`;
  if (code !== 0) return `gpgv ended with status ${code}`;
  return null;
}

/** Every line that a good signature may cause, by its keyword: what is not here is refused. */
function lineForms(expected: Expected): Map<string, RegExp> {
  const { primary, signingKey, created, algorithmId, hashId } = expected;
  const date = new Date(created * 1000).toISOString().slice(0, 'yyyy-mm-dd'.length);
  const forms: [string, RegExp][] = [
    ['NEWSIG', /^NEWSIG( \S+)?$/],
    ['KEY_CONSIDERED', new RegExp(`^KEY_CONSIDERED ${primary} 0$`)],
    ['SIG_ID', new RegExp(`^SIG_ID \\S+ ${date} ${created}$`)],
    ['GOODSIG', new RegExp(`^GOODSIG (${signingKey}|${signingKey.slice(-16)}) [^\\r]*$`)],
    // expire 0: never; version 4; reserved 0; class 00: a binary document
    [
      'VALIDSIG',
      new RegExp(`^VALIDSIG ${signingKey} ${date} ${created} 0 4 0 ${algorithmId} ${hashId} 00 ${primary}$`),
    ],
  ];
  if (expected.annotated) {
    for (const keyword of ['NOTATION_NAME', 'NOTATION_FLAGS', 'NOTATION_DATA', 'POLICY_URL']) {
      forms.push([keyword, new RegExp(`^${keyword}( [^\\r]*)?$`)]);
    }
  }
  return new Map(forms);
}

const unexpected = (keyword: string): string =>
  keyword === ''
    ? 'gpgv wrote something that is not a status line'
    : `gpgv said ${short(keyword)}, which a good signature does not cause`;

/** Something that is no gpgv may say 64 KiB of it. */
const short = (text: string): string => (text.length > 100 ? `${text.slice(0, 100)}…` : text);
