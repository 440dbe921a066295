/**
 * Replay and rollback: what was right once, shown again where or when it is wrong. L keeps everything that it
 * ever saw, and shows what it likes.
 */
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parseApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { HostileDepot } from '../harness/hostile-depot.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { mustBe, World } from '../harness/world.ts';
import type { Approved, Files } from '../harness/world.ts';
import { asSecond, blobs, filesOf, forgeApproval, plant, post, sign, statementOf, steal } from './forge.ts';
import type { Held } from './forge.ts';
import { entries, expectDenied, expectSigned, expectUnsigned, verdicts } from './outcome.ts';

const STATEMENT = ['statements/b1.json', 'statements/b1.json.sig', 'statements/b1.dsse.json'];
const oldFiles = { 'app.tgz': 'app, with the hole in it' };
const newFiles = { 'app.tgz': 'app, mended' };

let world: World;
let hostile: HostileDepot;
/** A finished build, version 1.0. */
let old: string;
/** The terms of every approval here. */
let terms: Approval;

beforeAll(async () => {
  world = await World.make();
  hostile = await HostileDepot.start(world.url);
  old = await world.release('1.0', oldFiles);
  terms = parseApproval(await readFile(world.tree('builds', old, 'approval.json')));
});
afterEach(() => hostile.repent());
afterAll(async () => {
  await hostile.close();
  await world.close();
});

async function approved(version: string, ...args: string[]): Promise<Approved> {
  const ran = await world.approve(version, args);
  mustBe(0, ran);
  return ran;
}

async function attested(version: string, contents: Files, ...args: string[]): Promise<Approved> {
  const ran = await approved(version, ...args);
  mustBe(0, await world.attest(ran.ticket, contents));
  return ran;
}

async function stolen(version: string): Promise<Approved & Held> {
  const ran = await approved(version);
  return { ...ran, ...(await steal(world, ran)) };
}

async function untilExpired({ build }: Approved): Promise<void> {
  const { expires } = parseApproval(await readFile(world.tree('builds', build, 'approval.json')));
  await sleep(Math.max(0, Date.parse(expires) - Date.now()) + 50);
}

describe('an old build’s statement and artifacts under a new approval', () => {
  test('L cannot pass them off as the new build; the builder’s own are signed afterwards', async () => {
    const { build, ticket } = await approved('1.1');
    const before = await snapshot(world);
    const there = await plant(
      world,
      build,
      new Map([...(await filesOf(world, old, STATEMENT)), ...blobs(oldFiles)]),
    );
    await expectUnsigned(world, before, build, 'approved statement-invalid');

    await plant(world, build, there);
    mustBe(0, await world.attest(ticket, newFiles));
    await expectSigned(world, build, '1.1', newFiles);
  });

  test('the gate does not take them from a builder with a ticket either', async () => {
    const { build, token } = await stolen('1.2');
    const before = await snapshot(world);
    const files = new Map<string, Buffer>();
    for (const [name, bytes] of await filesOf(world, old, STATEMENT))
      files.set(name, bytes ?? Buffer.alloc(0));
    await expectDenied(world, before, await post(world, build, files, token), '403 signature-invalid');
  });

  test('the same bytes, built again for a new version, are signed', async () => {
    const { build } = await attested('1.3', oldFiles);
    await expectSigned(world, build, '1.3', oldFiles);
  });
});

describe('a second approval', () => {
  test('for a build id: the gate keeps the first, and H stays bound to it', async () => {
    const first = await stolen('2.0');
    mustBe(0, await world.attest(first.ticket, oldFiles));
    hostile.withhold(/\/blobs\/|\/fetch$/);
    await world.sign([first.build, '--depot', hostile.url]);
    expect(await entries(world, first.build)).toEqual(['approval', 'statement']);

    const { approval } = first;
    const second = forgeApproval(world, approval, { build: approval.build });
    const before = await snapshot(world);
    await expectDenied(world, before, await post(world, first.build, second.files), '409 conflict');
    const there = await plant(world, first.build, second.files);
    await expectUnsigned(world, before, first.build, 'built build-taken');

    await plant(world, first.build, there);
    await expectSigned(world, first.build, '2.0', oldFiles);
  });

  test('for a build id, shown before the first: the builder’s statement does not answer to it', async () => {
    const { build, approval, secret, ticket } = await stolen('2.1');
    mustBe(0, await world.attest(ticket, oldFiles));
    const before = await snapshot(world);
    const { artifacts } = { artifacts: { ...approval.artifacts, maxCount: 7 } };
    const { notBefore } = approval;
    // with the builder's own key in it, so that its signature verifies
    const second = forgeApproval(
      world,
      approval,
      { build: approval.build, notBefore, artifacts },
      secret.certificate,
    );
    await plant(world, build, second.files);
    await expectUnsigned(world, before, build, 'refused statement-binding');
  });

  test('for the version of a finished build', async () => {
    const { build } = await attested('1.0', newFiles);
    await expectUnsigned(world, await snapshot(world), build, 'refused version-taken');
    expect(await readFile(world.tree('releases/widget/1.0/app.tgz'), 'utf8')).toBe(oldFiles['app.tgz']);
  });

  test('for the version of a live build: the first that H logged has it', async () => {
    const first = await approved('2.2');
    mustBe(0, await world.sign([first.build]));
    const second = await attested('2.2', oldFiles);
    await expectUnsigned(world, await snapshot(world), second.build, 'refused version-taken');
    mustBe(0, await world.attest(first.ticket, newFiles));
    await expectSigned(world, first.build, '2.2', newFiles);
  });

  test('for a version whose build was refused, or that nobody sealed in time, is the way on', async () => {
    const refused = await attested('1.0', newFiles);
    await world.sign([refused.build]);
    const late = await approved('2.3', '--expires', '5s');
    await untilExpired(late);
    const third = await attested('2.3', newFiles);
    await expectSigned(world, third.build, '2.3', newFiles);
  });
});

describe('a finished build', () => {
  test('is not signed again, whatever approval L shows for it by now', async () => {
    const again = forgeApproval(world, terms, { build: terms.build });
    const [before, there] = [await snapshot(world), await plant(world, old, again.files)];
    const ran = await world.sign([old]);
    mustBe(0, ran); // its release is what it was
    const after = await snapshot(world);
    expect(after).toEqual(before);
    await plant(world, old, there);
  });

  test('gives the same bytes when H comes again', async () => {
    const before = await snapshot(world);
    mustBe(0, await world.sign([old]));
    expect(await snapshot(world)).toEqual(before);
  });

  test('that L has forgotten is reported, and not signed again', async () => {
    const { build } = await attested('3.0', newFiles);
    await expectSigned(world, build, '3.0', newFiles);
    await cp(world.tree('releases/widget/3.0'), world.path('M', '3.0'), { recursive: true });
    await rm(world.tree('releases/widget/3.0'), { recursive: true });
    await expectUnsigned(world, await snapshot(world), build, 'signed release-differs');
    await cp(world.path('M', '3.0'), world.tree('releases/widget/3.0'), { recursive: true });
    await expectSigned(world, build, '3.0', newFiles);
  });

  test('lends its release to no other build', async () => {
    const { build } = await approved('3.1');
    const names = ['log-entry.json', 'release.proof', 'release.json', 'manifest.json', 'signatures.list'];
    const before = await snapshot(world);
    const records = new Map<string, Buffer>();
    for (const [name, bytes] of await filesOf(world, old, names)) records.set(name, bytes ?? Buffer.alloc(0));
    await expectDenied(world, before, await post(world, build, records), '403 build-mismatch');
    await plant(world, build, records);
    const status = await world.runOn('operator', ['status', build, '--json']);
    expect(status.json[0]).toMatchObject({ state: 'approved' });
  });
});

test('the refusal of one build ends no other', async () => {
  const refused = await attested('1.0', newFiles);
  await world.sign([refused.build]);
  const { build } = await attested('3.2', newFiles);
  const refusal = new Map<string, Buffer>();
  for (const [name, bytes] of await filesOf(world, refused.build, ['refusal.json', 'refusal.proof']))
    refusal.set(name, bytes ?? Buffer.alloc(0));
  await expectDenied(world, await snapshot(world), await post(world, build, refusal), '403 build-mismatch');
  await plant(world, build, refusal);
  const status = await world.runOn('operator', ['status', build, '--json']);
  expect(status.json[0]).toMatchObject({ state: 'built' });
  await expectSigned(world, build, '3.2', newFiles);
});

describe('an approval that is meant for another H', () => {
  test('is refused here, though the same people signed it for the same project and release key', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'cs-other-'));
    const approver = world.path('H', 'keys', `approver-${world.approvers[0]}.pgp`);
    const keys = ['--release-key', world.releaseKey, '--approver', approver, '--threshold', '1'];
    const depot = join(directory, 'depot');
    const facts = ['--dir', directory, '--project', world.project, '--depot', depot];
    mustBe(0, await world.runOn('H', ['init', ...facts, ...keys]));
    // the other H's depot hands what it has to ours
    const { build, ticket } = await approved('9.0', '-c', join(directory, 'countersign.toml'));
    const files = new Map<string, Buffer>();
    for (const name of await readdir(join(depot, 'builds', build)))
      files.set(name, await readFile(join(depot, 'builds', build, name)));

    const before = await snapshot(world);
    await expectDenied(world, before, await post(world, build, files), '422 signer');
    await plant(world, build, files);
    const held = await steal(world, { build, ticket });
    await plant(world, build, new Map([...sign(held, statementOf(held, newFiles)), ...blobs(newFiles)]));
    await expectUnsigned(world, before, build, 'refused signer');
    await rm(directory, { recursive: true });
  });
});

describe('a statement swapped while H restarts', () => {
  /** A build whose statement H has logged when it is killed. */
  async function killedAfterStatement(version: string) {
    const held = await stolen(version);
    mustBe(0, await world.attest(held.ticket, newFiles));
    const power = new AbortController();
    const reached = hostile.hold(/\/blobs\/|\/fetch$/);
    const killed = world.sign([held.build, '--depot', hostile.url], { kill: power.signal });
    await reached;
    power.abort();
    expect((await killed).code).toBe(null);
    hostile.repent();
    expect(await entries(world, held.build)).toEqual(['approval', 'statement']);
    return { build: held.build, held, before: await snapshot(world) };
  }

  test('by nothing else, H goes on where it was', async () => {
    const { build } = await killedAfterStatement('4.0');
    await expectSigned(world, build, '4.0', newFiles);
    expect(await entries(world, build)).toEqual(['approval', 'statement', 'intent', 'release']);
  });

  test('by another that the builder signed too: the build is frozen', async () => {
    const { build, held, before } = await killedAfterStatement('4.1');
    const swapped = sign(held, statementOf(held, oldFiles));
    await plant(world, build, new Map([...swapped, ...blobs(oldFiles)]));
    await expectUnsigned(world, before, build, 'frozen conflict');
    // and stays so, also when L shows the first one again
    const ran = await world.sign([build]);
    expect([ran.code, verdicts(ran)]).toEqual([1, ['frozen conflict']]);
  });

  test('with another beside it: frozen as well', async () => {
    const { build, held, before } = await killedAfterStatement('4.2');
    await plant(world, build, asSecond(sign(held, statementOf(held, oldFiles))));
    await expectUnsigned(world, before, build, 'frozen conflict');
  });

  test('by one that nobody signed: reported, and tried again when L shows the right one', async () => {
    const { build, held, before } = await killedAfterStatement('4.3');
    const other = await stolen('4.3-other');
    const there = await plant(world, build, sign(other, statementOf(held, oldFiles)));
    await expectUnsigned(world, before, build, 'built statement-invalid');
    await plant(world, build, there);
    await expectSigned(world, build, '4.3', newFiles);
  });

  test('by none, and the approval gone too: reported, and tried again', async () => {
    const { build, before } = await killedAfterStatement('4.4');
    hostile.withhold(/\/statements\//);
    await expectUnsigned(world, before, build, 'built statement-missing', ['--depot', hostile.url]);
    hostile.withhold(/\/approval\.json/);
    await expectUnsigned(world, before, build, 'built approval-missing', ['--depot', hostile.url]);
    await expectSigned(world, build, '4.4', newFiles);
  });
});

describe('a build that H had signed when it was killed', () => {
  test('leaves H once, with the signatures it had; another statement by then changes nothing', async () => {
    const held = await stolen('4.5');
    const { build } = held;
    mustBe(0, await world.attest(held.ticket, newFiles));
    const power = new AbortController();
    const reached = hostile.hold(`/builds/${build}`);
    const killed = world.sign([build, '--depot', hostile.url], { kill: power.signal });
    await reached;
    power.abort();
    await killed;
    expect(await entries(world, build)).toEqual(['approval', 'statement', 'intent', 'release']);

    const before = await snapshot(world);
    const there = await plant(world, build, sign(held, statementOf(held, oldFiles)));
    const ran = await world.sign([build]);
    expect([ran.code, verdicts(ran)], ran.stderr).toEqual([3, ['signed release-incomplete']]);
    await expectUntouched(world, before, { answers: [ran] });

    await plant(world, build, there);
    await expectSigned(world, build, '4.5', newFiles);
    expect(world.agent.signatures).toBe(before.signatures);
  });
});

describe('a statement held back past `expires`', () => {
  let [unseen, strange, slow]: Approved[] = [];

  beforeAll(async () => {
    const inTime = ['5.0', '5.1', '5.2'].map((version) => approved(version, '--expires', '15s'));
    [unseen, strange, slow] = await Promise.all(inTime);
    if (!unseen || !strange || !slow) throw new Error('three builds');
    mustBe(0, await world.sign([unseen.build]));
    for (const ran of await Promise.all(
      [unseen, strange, slow].map(({ ticket }) => world.attest(ticket, newFiles)),
    ))
      mustBe(0, ran);
    hostile.withhold(/\/blobs\/|\/fetch$/);
    const ran = await world.sign([slow.build, '--depot', hostile.url]);
    expect(verdicts(ran)).toEqual(['built artifact-missing']);
    // one after the other they were approved, and so they end
    for (const each of [unseen, strange, slow]) await untilExpired(each);
  });

  test('that H had not seen by then is refused', async () => {
    await expectUnsigned(world, await snapshot(world), unseen?.build ?? '', 'refused expired');
  });

  test('so is one whose approval H had not seen either', async () => {
    await expectUnsigned(world, await snapshot(world), strange?.build ?? '', 'refused expired');
  });

  test('one that H saw in time is signed, however long its artifacts took', async () => {
    await expectSigned(world, slow?.build ?? '', '5.2', newFiles);
  });
});
