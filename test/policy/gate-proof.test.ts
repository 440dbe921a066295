/**
 * Whose proof it is: the leaf and the checkpoint are public before the signer sends its own, so anybody can make one.
 * None that others make keeps the signer's release out, or is kept with what spoils it later.
 */
import { describe, expect, test } from 'vitest';
import { buildPath } from '../../src/records/paths.ts';
import { cosign, generateWitnessKey, parseWitnessSigner } from '../../src/tlog/cosignature.ts';
import { splitNote } from '../../src/tlog/note.ts';
import { formatProof, parseProof } from '../../src/tlog/proof.ts';
import { judgeRecords } from '../../src/policy/gate.ts';
import { ask } from './ask.ts';
import { proofOf, refusalFiles, releaseFiles } from './release-scene.ts';
import { approvedView, build, now, project } from './scene.ts';
import type { Files } from './scene.ts';

const [known, other] = ['known', 'other'].map((name) =>
  parseWitnessSigner(generateWitnessKey(`witness.example/${name}`).signer),
) as [ReturnType<typeof parseWitnessSigner>, ReturnType<typeof parseWitnessSigner>];
const rules = { ...project, log: { ...project.log, witnesses: [known.verifier] } };
const asked = { ...rules, log: { ...rules.log, quorum: 1 } };

/** The proof with more signature lines. */
function signed(proof: Buffer, lines: (text: string) => string): Buffer {
  const parsed = parseProof(proof);
  const { text } = splitNote(parsed.checkpoint);
  return formatProof({ ...parsed, checkpoint: parsed.checkpoint + lines(text) });
}
const byKnown = (proof: Buffer): Buffer => signed(proof, (text) => cosign(text, known, 9));
const LINES: readonly (readonly [string, (text: string) => string])[] = [
  ['junk', () => '— junk AAAAAAA=\n'],
  ['of a witness that is not listed here', (text) => cosign(text, other, 9)],
  ['false, by one that may be listed later', () => cosign('something else\n', other, 9)],
];
const RECORDS: readonly (readonly [string, Files])[] = [
  ['release.proof', releaseFiles()],
  ['refusal.proof', refusalFiles()],
];
const proofIn = (files: Files, name: string): Buffer => files.get(name) ?? Buffer.alloc(0);
const bent = (files: Files, name: string, how: (proof: Buffer) => Buffer): Files =>
  new Map(files).set(name, how(proofIn(files, name)));

describe.each(RECORDS)('%s', (name, files) => {
  test.each(LINES)('with a line %s: that is left out of what is kept', async (_, lines) => {
    const good = byKnown(proofIn(files, name));
    const verdict = await judgeRecords({
      ...{ rules, build, now, bearer: null, view: approvedView() },
      files: new Map(files).set(name, signed(good, lines)),
    });
    if (!verdict.allow) throw new Error(verdict.message);
    expect(verdict.files.get(name)).toEqual(good);
  });

  test.each(LINES)(
    'is there with a line %s: the good one is no conflict, and not written',
    async (_, lines) => {
      const there = bent(files, name, (proof) => signed(proof, lines));
      const view = approvedView().put(buildPath(build), new Map([...there].slice(0, 2)));
      const answer = await ask(view, bent(files, name, byKnown), { rules });
      expect(answer).toMatch(/^allow /);
      expect(answer).not.toContain(name);
    },
  );

  test('that verifies is in the way of nothing but a good one; one that does not is in the way of that, too', async () => {
    for (const how of [() => Buffer.from('junk'), () => proofOf(Buffer.from('another'))]) {
      const bad = bent(files, name, how);
      expect(await ask(approvedView().put(buildPath(build), bad), files)).toBe('409 conflict');
      expect(await ask(approvedView().put(buildPath(build), files), bad)).toBe('409 conflict');
    }
  });
});

test('a release’s that has too few cosignatures for the project file is taken by nobody, and no reason to keep it', async () => {
  const files = releaseFiles();
  const good = bent(files, 'release.proof', byKnown);
  expect(await ask(approvedView(), files, { rules: asked })).toBe('403 witnesses-missing');
  expect(await ask(approvedView(), good, { rules: asked })).toMatch(/^allow /);
  expect(await ask(approvedView().put(buildPath(build), files), good, { rules: asked })).toBe('409 conflict');
});
