/** Builds of the other schemes in depots on disk: what their releases hold, how they travel, and how they are taken back. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Project } from '../../src/policy/project.ts';
import type { Sha256 } from '../../src/records/names.ts';
import { encodeApproval } from '../../src/records/approval.ts';
import type { Approval, Scheme } from '../../src/records/approval.ts';
import type { Release } from '../../src/records/release.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { manifest } from '../policy/release-scene.ts';
import {
  ada,
  approvalFiles,
  b1,
  b2,
  bob,
  build,
  builderEntry,
  endorsement,
  minutes,
  now,
} from '../policy/scene.ts';
import { approval, builderSecrets, statement, statementFiles, tokens } from '../policy/scene.ts';
import type { Files } from '../policy/scene.ts';
import {
  enrolApproval,
  enrolledStatement,
  enrolmentFiles,
  first,
  macApproval,
} from '../policy/scheme-scene.ts';
import { macFiles, receiptFiles, revocationFiles, sealing, second } from '../policy/scheme-scene.ts';
import { carry, outcome } from './carry.ts';
import { Directories, contentsOf, filesOf } from './copies.ts';
import { blobs, chainOf, makeDepot, releaseSignatures, seal, sendRelease } from './depot.ts';
import type { DepotOnDisk } from './depot.ts';

const directories = new Directories();
const made: DepotOnDisk[] = [];
afterEach(async () => {
  for (const depot of made.splice(0)) await depot.remove();
  await directories.remove();
});
async function depot(rules: Project = sealing): Promise<DepotOnDisk> {
  const here = await makeDepot(rules);
  made.push(here);
  return here;
}

const digestOf = (files: Files, name = 'statements/b1.json'): Sha256 => sha256Hex(files.get(name) ?? '');

/** The release of the build under this approval, on the word of these statements. */
async function release(
  here: DepotOnDisk,
  record: Approval,
  statements: Record<string, Sha256>,
  changes: Partial<Release> = {},
): Promise<void> {
  const signatures = releaseSignatures();
  const schemes = Object.entries(record.builders).filter(([slot]) => slot in statements);
  const chain = chainOf(signatures, {
    manifest: { ...manifest, approval: sha256Hex(encodeApproval(record)), statements },
    release: {
      builders: Object.fromEntries(schemes.map(([slot, { scheme }]): [string, Scheme] => [slot, scheme])),
      ...changes,
    },
  });
  await here.depot.submit(build, chain);
  await here.depot.putSignatures(build, signatures);
}

async function begin(here: DepotOnDisk, record: Approval): Promise<void> {
  await here.depot.submit(build, approvalFiles(record));
  await here.builder.putBlobs(build, blobs);
}

async function sealWithMac(here: DepotOnDisk): Promise<void> {
  await begin(here, macApproval);
  await here.builder.submit(build, macFiles());
}

async function enrol(here: DepotOnDisk): Promise<void> {
  await begin(here, enrolApproval);
  await here.builder.submit(build, enrolmentFiles());
}

const below = async (here: DepotOnDisk, directory: string): Promise<string[]> =>
  (await filesOf(here.directory))
    .filter((path) => path.startsWith(`${directory}/`))
    .map((path) => path.slice(directory.length + 1));
const countersign = 'releases/hello/1.0/countersign';

describe('a release', () => {
  test('of scheme mac holds the MAC, which nobody but the signer can check', async () => {
    const here = await depot();
    await sealWithMac(here);
    await release(here, macApproval, { b1: digestOf(macFiles()) });
    await here.depot.publish(build);
    expect(await below(here, `${countersign}/statements`)).toEqual(['b1.json', 'b1.json.mac']);
  });

  test('of scheme enrol holds the enrolment and its receipt, whichever of the slot’s it was', async () => {
    const here = await depot();
    await enrol(here);
    await here.builder.submit(build, enrolmentFiles(second));
    await here.builder.submit(build, enrolledStatement(second));
    await release(here, enrolApproval, { b1: digestOf(enrolledStatement(second)) });
    // without the log's word for the key it is not whole
    await expect(here.depot.publish(build)).rejects.toMatchObject({ code: 'release-incomplete' });
    await here.depot.submit(build, receiptFiles(second));
    await here.depot.publish(build);
    expect(await below(here, `${countersign}/enrolments`)).toEqual([
      ...['b1.json', 'b1.json.mac', 'b1.json.receipt', 'b1.json.sig'],
    ]);
    expect(await here.depot.read(`${countersign}/enrolments/b1.json`, 10_000)).toEqual(
      enrolmentFiles(second).get('enrolments/b1.json'),
    );
    expect(await below(here, `${countersign}/statements`)).toHaveLength(3);
  });

  test('by the key of an enrolment that the log has not taken is not published', async () => {
    const here = await depot();
    await enrol(here);
    await here.builder.submit(build, enrolmentFiles(second));
    await here.builder.submit(build, enrolledStatement(second));
    await here.depot.submit(build, receiptFiles(first));
    await release(here, enrolApproval, { b1: digestOf(enrolledStatement(second)) });
    await expect(here.depot.publish(build)).rejects.toMatchObject({ code: 'signature-invalid' });
  });
});

describe('a build of two builders', () => {
  const pair: Approval = {
    ...approval,
    builders: { [b1]: builderEntry('b1'), [b2]: builderEntry('b2') },
    quorum: 2,
  };
  const bound = { ...statement, approval: sha256Hex(encodeApproval(pair)) };
  const one = statementFiles(bound);
  const two = statementFiles({ ...bound, slot: b2 }, builderSecrets.b2);
  const statements = { b1: digestOf(one), b2: digestOf(two, 'statements/b2.json') };

  test('each sends what the depot lacks: the second has nothing to send, and seals after the first', async () => {
    const here = await depot();
    await begin(here, pair);
    await here.builder.submit(build, one);
    const other = here.depot.as(tokens.b2);
    for (const { sha256 } of blobs) expect(await other.hasBlob(build, sha256)).toBe(true);
    const more = Buffer.from('what only b2 has made');
    expect(await other.hasBlob(build, sha256Hex(more))).toBe(false);
    await other.putBlobs(build, [{ sha256: sha256Hex(more), bytes: more }]);
    await other.submit(build, two);
    await release(here, pair, statements, { assurance: '2-of-2' });
    await here.depot.publish(build);
    expect(await below(here, `${countersign}/statements`)).toHaveLength(6);
  });

  test('is not published on the word of one', async () => {
    const here = await depot();
    await begin(here, pair);
    await here.builder.submit(build, one);
    await release(here, pair, { b1: statements.b1 }, { assurance: '2-of-2' });
    await expect(here.depot.publish(build)).rejects.toMatchObject({ code: 'quorum' });
  });

  test.each([
    ['calls itself something better', { assurance: '3-of-3' as const }, 'assurance'],
    ['or something worse', { assurance: 'single-builder' as const }, 'assurance'],
    [
      'or its builders of another scheme',
      { assurance: '2-of-2' as const, builders: { b1: 'mac', b2: 'keypair' } as const },
      'builders',
    ],
  ])('is not published when it %s', async (_what, changes, code) => {
    const here = await depot();
    await begin(here, pair);
    await here.builder.submit(build, one);
    await here.depot.as(tokens.b2).submit(build, two);
    await release(here, pair, statements, changes);
    await expect(here.depot.publish(build)).rejects.toMatchObject({ code });
  });

  test('takes uploads below the threshold, and is published only when the second approver has signed', async () => {
    const here = await depot({ ...sealing, threshold: 2 });
    await seal(here);
    await sendRelease(here);
    await expect(here.depot.publish(build)).rejects.toMatchObject({ code: 'threshold' });
    const bytes = encodeApproval(approval);
    await here.depot.submit(build, new Map([endorsement(bytes, bob)]));
    await here.depot.publish(build);
    expect(await below(here, 'releases')).toContain('hello/1.0/SHA256SUMS');
  });

  test.each(['signer', 'releaseKey'] as const)(
    'on an approval for another %s is not published',
    async (field) => {
      const other = { signer: 'example.org/other', releaseKey: ada.certificate.primary.fingerprint };
      const record = { ...macApproval, [field]: other[field] };
      const here = await depot();
      // as a gate of before, or the disk, has it: the gate of today takes no such approval
      for (const [name, bytes] of [...approvalFiles(record), ...macFiles()]) {
        const path = join(here.directory, 'builds', build, name);
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, bytes);
      }
      await release(here, record, { b1: digestOf(macFiles()) });
      await expect(here.depot.publish(build)).rejects.toMatchObject({ code: 'approval' });
    },
  );
});

describe('on a stick', () => {
  test('an enrolment goes to the signer, its receipt comes back, and then the statement goes', async () => {
    const builders = await depot();
    const signers = await directories.make();
    const time = { now };
    await enrol(builders);
    expect(outcome(await carry(builders.directory, signers, time, sealing))).toBe('carried');
    const here = await depot();
    await enrol(here);
    await here.depot.submit(build, receiptFiles());
    expect(outcome(await carry(here.directory, builders.directory, time, sealing))).toBe('carried');
    expect(await below(builders, `builds/${build}/enrolments`)).toContain('b1.json.receipt');
    await builders.builder.submit(build, enrolledStatement());
    expect(outcome(await carry(builders.directory, signers, time, sealing))).toBe('carried');
    expect(await contentsOf(signers)).toEqual(await contentsOf(builders.directory));
    expect(outcome(await carry(builders.directory, signers, time, sealing))).toBe('same');
  });

  test('a second enrolment goes too: the signer decides', async () => {
    const from = await depot();
    await enrol(from);
    await from.builder.submit(build, enrolmentFiles(second));
    const to = await directories.make();
    await carry(from.directory, to, { now }, sealing);
    expect(await contentsOf(to)).toMatchObject({
      [`builds/${build}/enrolments/b1.2.json`]: expect.any(String),
      [`builds/${build}/enrolments/b1.2.json.mac`]: expect.any(String),
    });
  });

  test('the same statement, or enrolment, with another MAC goes too: a flipped one is healed by the right one', async () => {
    const flip = (files: Files, name: string): Files =>
      new Map(files).set(name, Buffer.from(`${Buffer.alloc(32).toString('base64')}\n`));
    for (const [record, files, name] of [
      [macApproval, macFiles(), 'statements/b1.json'],
      [enrolApproval, enrolmentFiles(), 'enrolments/b1.json'],
    ] as const) {
      const [right, wrong] = [await depot(), await depot()];
      for (const each of [right, wrong]) await begin(each, record);
      await right.builder.submit(build, files);
      await wrong.builder.submit(build, flip(files, `${name}.mac`));
      expect(outcome(await carry(right.directory, wrong.directory, { now }, sealing))).toBe('carried');
      const there = await contentsOf(wrong.directory);
      const second = `builds/${build}/${name.replace('b1', 'b1.2')}.mac`;
      expect(there[second]).toBe((await contentsOf(right.directory))[`builds/${build}/${name}.mac`]);
      expect(outcome(await carry(right.directory, wrong.directory, { now }, sealing))).toBe('same');
      await carry(wrong.directory, right.directory, { now }, sealing);
      expect(outcome(await carry(wrong.directory, right.directory, { now }, sealing))).toBe('same');
    }
  });

  test('an enrolment that comes too late is left, and said', async () => {
    const from = await depot();
    await enrol(from);
    const to = await directories.make();
    const late = await carry(from.directory, to, { now: minutes(31) }, sealing);
    expect(outcome(late)).toBe('left too-late');
  });

  test('releases of every scheme go whole, long after everything has expired', async () => {
    const [mac, own] = [await depot(), await depot()];
    await sealWithMac(mac);
    await release(mac, macApproval, { b1: digestOf(macFiles()) });
    await mac.depot.publish(build);
    await enrol(own);
    await own.depot.submit(build, receiptFiles());
    await own.builder.submit(build, enrolledStatement());
    await release(own, enrolApproval, { b1: digestOf(enrolledStatement()) });
    await own.depot.publish(build);
    for (const from of [mac, own]) {
      const to = await directories.make();
      expect(outcome(await carry(from.directory, to, { now: minutes(60 * 24 * 90) }, sealing))).toBe(
        'carried',
      );
      expect(await contentsOf(to)).toEqual(await contentsOf(from.directory));
    }
  });
});

describe('a revocation travels', () => {
  const late = minutes(60 * 24 * 30);
  async function published(): Promise<[DepotOnDisk, string]> {
    const here = await depot();
    await seal(here);
    await sendRelease(here);
    await here.depot.publish(build);
    const to = await directories.make();
    await carry(here.directory, to, { now }, sealing);
    return [here, to];
  }
  const revocations = async (directory: string): Promise<string[]> =>
    (await filesOf(directory)).filter((path) => path.includes('/revocations/'));

  test('of a build that waits, with it', async () => {
    const here = await depot();
    await seal(here);
    await here.depot.submit(build, revocationFiles(ada));
    const to = await directories.make();
    expect(outcome(await carry(here.directory, to, { now }, sealing))).toBe('carried');
    expect(await revocations(to)).toHaveLength(2);
  });

  test('is whole where the depot failed between its signature and its record, and it was signed again', async () => {
    const here = await depot();
    await seal(here);
    const earlier = [...revocationFiles(ada, { reason: 'another' })];
    const [signature = '', bytes = ''] = earlier.find(([name]) => name.endsWith('.sig')) ?? [];
    await mkdir(join(here.directory, 'builds', build, 'revocations'));
    await writeFile(join(here.directory, 'builds', build, signature), bytes);
    const files = revocationFiles(ada);
    await here.depot.submit(build, files);
    for (const [name, wanted] of files)
      expect(await here.depot.read(`builds/${build}/${name}`, 10_000)).toEqual(wanted);
  });

  test('of a release that the mirror has had for long; the release stays', async () => {
    const [here, to] = await published();
    expect(outcome(await carry(here.directory, to, { now: late }, sealing))).toBe('same');
    await here.depot.submit(build, revocationFiles(ada));
    const results = await carry(here.directory, to, { now: late }, sealing);
    expect(results).toMatchObject([{ state: 'carried', files: 2 }]);
    expect(await revocations(to)).toHaveLength(2);
    expect(await contentsOf(to)).toEqual(await contentsOf(here.directory));
    expect(outcome(await carry(here.directory, to, { now: late }, sealing))).toBe('same');
  });

  test('of which one is forged: the good one comes, the other is said', async () => {
    const [here, to] = await published();
    const forged = [...revocationFiles(ada)].map(([name]) => [name, Buffer.from('{}')] as const);
    for (const [name, bytes] of forged) await here.tree.write(`builds/${build}/${name}`, bytes);
    await here.depot.submit(build, revocationFiles(bob));
    expect(outcome(await carry(here.directory, to, { now: late }, sealing))).toBe(
      'refused signature-invalid',
    );
    expect(await revocations(to)).toHaveLength(2);
  });
});

test('builds that hold a revocation are listed, ascending, a page at a time', async () => {
  const here = await depot();
  const ids = ['01jd9v7q3m4n5p6r7s8t9vwxy0', '01jd9v7q3m4n5p6r7s8t9vwxy1', '01jd9v7q3m4n5p6r7s8t9vwxy2'];
  for (const id of ids) await here.tree.write(`builds/${id}/approval.json`, Buffer.from('{}'));
  await here.tree.write(`builds/${ids[2]}/revocations/${'A'.repeat(40)}.json`, Buffer.from('{}'));
  expect(await here.depot.revoked(null)).toEqual({ builds: [ids[2]], next: null });
  expect(await here.tree.revoked(null, 2)).toEqual({ builds: [], next: ids[1] });
});
