import { describe, expect, test } from 'vitest';
import { parseSignature } from '../../src/openpgp/signature.ts';
import { MemoryView } from '../harness/memory-view.ts';
import type { Project } from '../../src/policy/project.ts';
import { buildPath } from '../../src/records/paths.ts';
import { ask } from './ask.ts';
import { refusalFiles, releaseFiles, signatures } from './release-scene.ts';
import { ada, approval, approvalFiles, approvedView, bob, build, statementFiles, tokens } from './scene.ts';
import type { Files } from './scene.ts';
import { enrolApproval, enrolmentFiles, receiptFiles, revocationFiles, sealing } from './scheme-scene.ts';

/**
 * Whether both signature files hold the same signature: their unhashed subpackets and the two octets of the
 * digest are covered by nothing, in OpenPGP. Written once, they are not changed again either.
 */
function sameSignature(one: Buffer, other: Buffer): boolean {
  const [a, b] = [one, other].map((file) => {
    const { hashedPart, mpis } = parseSignature(file);
    return Buffer.concat([hashedPart, ...mpis]);
  });
  return a !== undefined && b !== undefined && a.equals(b);
}

/** Each file of the write with one bit of each of its bytes turned over; what the gate lets through. */
async function flipsTaken(view: MemoryView, files: Files, rules: Project): Promise<string[]> {
  const taken: string[] = [];
  for (const [name, bytes] of files)
    for (let at = 0; at < bytes.length; at += 1) {
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (at % 8)), at);
      const answer = await ask(view, new Map(files).set(name, flipped), { bearer: tokens.b1, rules });
      if (/^4\d\d /.test(answer) || (name.endsWith('.sig') && sameSignature(bytes, flipped))) continue;
      if (name.endsWith('.mac') && at < 43) continue;
      taken.push(`${name}[${at}]: ${answer}`);
    }
  return taken;
}

describe('no byte of a write can be changed on its way', () => {
  const enrolled = () => approvedView(enrolApproval).put(buildPath(build), enrolmentFiles());
  const writes: [string, () => MemoryView, () => Files][] = [
    ['a revocation', () => approvedView(), () => revocationFiles(ada)],
    ['the receipt of an enrolment', enrolled, () => receiptFiles()],
    // of its MAC a depot sees the form alone
    ['an enrolment', () => approvedView(enrolApproval), () => enrolmentFiles()],
    ['an approval with two signatures', () => new MemoryView(), () => approvalFiles(approval, [ada, bob])],
    ['a statement with signature and envelope', () => approvedView(), () => statementFiles()],
    ['a refusal with its proof', () => approvedView(), () => refusalFiles()],
    [
      'a release with its proof and signatures',
      () => approvedView(),
      () => new Map([...releaseFiles(), ...signatures]),
    ],
  ];
  test.each(writes)('%s', async (_, view, files) => {
    expect(await ask(view(), files(), { bearer: tokens.b1, rules: sealing })).toMatch(/^allow /);
    expect(await flipsTaken(view(), files(), sealing)).toEqual([]);
  });
});
