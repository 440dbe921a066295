/** What a witness is sent. */
import { parseVerifierKey } from '../../src/tlog/note.ts';
import { judge } from '../../src/witness/judge.ts';
import { parseSubmission } from '../../src/witness/submission.ts';
import { ownVector } from '../harness/vectors.ts';
import type { Target } from './fuzz.ts';
import { holds, same } from './oracle.ts';

interface Exchanges {
  readonly logs: readonly {
    readonly key: string;
    readonly exchanges: readonly { readonly request: string }[];
  }[];
}

const { logs } = JSON.parse(ownVector('litewitness.json')) as Exchanges;
const keys = logs.map(({ key }) => parseVerifierKey(key));
const seeds = logs.flatMap(({ exchanges }) => exchanges.map(({ request }) => Buffer.from(request)));
/** What these logs have signed. */
const signed = new Set(seeds.map((each) => parseSubmission(each).text));

export const witnessTargets: readonly Target[] = [
  {
    name: 'submission',
    seeds,
    words: ['\n\n', '\n', 'old ', 'old 0\n', '— ', '0', '1', '01', '18446744073709551616', '=', ' '],
    read: (input) => {
      const submission = parseSubmission(input);
      const { oldSize, proof, text, signatures } = submission;
      const hashes = proof.map((hash) => `${hash.toString('base64')}\n`);
      const before = `old ${oldSize}\n${hashes.join('')}\n${text}\n`;
      // lines that can't be read are none
      const lines = signatures.length > 0 ? signatures.map(({ line }) => line).join('') : null;
      same(before + (lines ?? input.toString().slice(before.length)), input);
      const verdict = judge(submission, keys, null);
      holds(verdict.status === 403 || signed.has(text), 'a checkpoint that nobody signed');
    },
  },
];
