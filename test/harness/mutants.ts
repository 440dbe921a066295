/**
 * Wrappers of gpgv as people write them, each with the one mistake in its name. Whatever tests the real wrapper must
 * kill them: a test that does not tell them from it proves nothing.
 */
import { askGpgv } from '../../src/openpgp/gpgv.ts';
import type { Question } from '../../src/openpgp/gpgv.ts';
import { examineSignature } from '../../src/openpgp/verify.ts';
import type { RunResult } from '../../src/host/process.ts';
import type { Row } from './gpgv-rows.ts';
import { rawGpgv } from './gpgv.ts';

/** Whether a wrapper accepts a row of the table. */
export type Wrapper = (row: Row) => Promise<boolean>;

/** They hand gpgv whatever they got, and then look at too little. */
export const MUTANTS: Readonly<Record<string, Wrapper>> = {
  'the exit code alone': async (row) => (await rawGpgv(row)).code === 0,
  'VALIDSIG alone': async (row) => /^\[GNUPG:\] VALIDSIG /m.test((await rawGpgv(row)).status),
  'exit code, GOODSIG and VALIDSIG': async (row) => {
    const { code, keywords } = await rawGpgv(row);
    return code === 0 && /GOODSIG.* VALIDSIG/.test(keywords);
  },
  'a merged error stream': async (row) =>
    /GOODSIG.* VALIDSIG$/.test((await rawGpgv(row, { statusFd: 2 })).keywords),
};

/** Whether a wrapper accepts what the given gpgv says about a good signature. */
export type Listener = (question: Question) => Promise<boolean>;

const listener =
  (accepts: (said: RunResult) => boolean): Listener =>
  async (question) => {
    const examined = examineSignature(question.signature, question.certificate, question.now);
    return 'signature' in examined && accepts(await askGpgv(examined, question));
  };

/** They ask as the real wrapper does, and hear wrongly. */
export const MUTANT_LISTENERS: Readonly<Record<string, Listener>> = {
  'the exit code alone': listener(({ code }) => code === 0),
  'VALIDSIG alone': listener(({ status }) => status.includes('[GNUPG:] VALIDSIG ')),
  'a merged error stream': listener(({ code, status, stderr }) => {
    const lines = Buffer.concat([stderr, status]).toString();
    return code === 0 && /^\[GNUPG:\] GOODSIG /m.test(lines) && /^\[GNUPG:\] VALIDSIG /m.test(lines);
  }),
};
