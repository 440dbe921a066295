/**
 * The oracle in digest mode, where H signs what it has not read: all that a builder with its ticket, an approver and L can
 * say, and none of it gets a digest of theirs signed.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sha256From } from '../../src/openpgp/hash-state.ts';
import { encodePacket } from '../../src/openpgp/packet.ts';
import { trailerOf } from '../../src/openpgp/signature.ts';
import type { Approval } from '../../src/records/approval.ts';
import { encodeCanonical } from '../../src/records/canonical.ts';
import type { Json } from '../../src/records/canonical.ts';
import { toArtifactName, toSha256, toSlot, toVersion } from '../../src/records/names.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import type { StatedSubject } from '../../src/records/statement.ts';
import { toHashState } from '../../src/records/subject.ts';
import { craftKey, craftSignature, nowSeconds } from '../harness/craft.ts';
import { gpgvAccepts } from '../harness/gpgv-accepts.ts';
import { hashStateOf, stateText } from '../harness/hash-state.ts';
import { expectRefusedAnswer, snapshot } from '../harness/invariants.ts';
import { isObject, readJson } from '../harness/json.ts';
import { mustBe } from '../harness/world.ts';
import type { Files, World } from '../harness/world.ts';
import { expectOwnDigests } from './agent-digests.ts';
import { approveDigest, digestWorld, setDigestMode, statedSubjects } from './digest-world.ts';
import { blobs, forgeApproval, plant, post, sign, statementOf } from './forge.ts';
import type { Held } from './forge.ts';
import { entries, expectDenied, expectSigned, verdicts } from './outcome.ts';
import { expectRound } from './round.ts';
import type { Verdict } from './round.ts';
import { approveSeveral, statedBy } from './several.ts';

let world: World;
beforeAll(async () => {
  world = await digestWorld();
});
afterAll(() => world.close());

/** The digest of what an attacker wants signed. */
const wanted = createHash('sha256').update('a certification').digest();
const app = Buffer.from('app');

describe('odd, and legal', () => {
  test('artifacts of every length around a block, keys, certificates, signatures: what gpgv accepts, and nothing else', async () => {
    const key = craftKey('ed25519', nowSeconds());
    const sizes = [0, 1, 55, 56, 63, 64, 65, 128, 1_500_000];
    const contents: Files = {
      ...Object.fromEntries(sizes.map((size) => [`size-${size}.bin`, Buffer.alloc(size, size)])),
      'release.pgp': world.releaseHome.export(world.releaseKey),
      'key-packet.bin': encodePacket(6, key.body),
      'signature.bin': craftSignature(key, Buffer.from('data')),
      'certification.bin': craftSignature(key, Buffer.from('data'), { type: 0x13 }),
      'trailer.bin': Buffer.concat([Buffer.from('data'), trailerOf(Buffer.alloc(35))]),
      'digest.bin': wanted,
      'state.txt': stateText(app),
      'twin.bin': wanted,
    };
    const held = await approveDigest(world, '1.0');
    mustBe(0, await world.attest(held.ticket, contents));
    const since = world.agent.digests.length;
    await expectSigned(world, held.build, '1.0', contents);
    await expectOwnDigests(world, world.agent.digests.slice(since), '1.0');
    expect(world.agent.digests).not.toContain(wanted.toString('hex'));
    const certificate = world.releaseHome.export(world.releaseKey);
    for (const [name, content] of Object.entries(contents)) {
      const signature = await readFile(world.tree('releases', world.project, '1.0', `${name}.asc`));
      expect(await gpgvAccepts(certificate, signature, Buffer.from(content)), name).toBe(true);
    }
    const said = await world.runOn('operator', ['verify', world.tree('releases', world.project, '1.0')]);
    expect(said.stdout).toContain('without fetching it');
    const status = await world.runOn('operator', ['status', held.build]);
    expect(status.stdout).toContain('digest: signed without being fetched');
  });

  test('mode fetch under a project that allows both', async () => {
    await world.release('1.1', { 'app.tgz': app });
  });

  test('two builders with the same states', async () => {
    const held = await approveSeveral(world, '1.2', ['--builders', '2', '--mode', 'digest']);
    for (const slot of ['b1', 'b2'] as const)
      mustBe(0, await world.attest(held.holders[slot].ticket, { 'app.tgz': app }));
    await expectSigned(world, held.build, '1.2', { 'app.tgz': app });
  });
});

describe('a statement that says otherwise', () => {
  let like: Held;
  beforeAll(async () => {
    like = await approveDigest(world, '2.0');
  });

  const approve = (version: string, changes: Partial<Approval> = {}) =>
    forgeApproval(world, like.approval, { version: toVersion(version, 'attack'), ...changes });
  const sha256 = (bytes: Buffer) => toSha256(createHash('sha256').update(bytes).digest('hex'), 'attack');
  const honest: StatedSubject = {
    ...{ name: toArtifactName('app.tgz', 'attack'), sha256: sha256(app), size: app.length },
    sha256State: hashStateOf(app),
  };
  /** A state that is well-formed for a size, whatever it is of. */
  const state = (hex: string, size: number) => ({ size, sha256State: toHashState(hex, 'attack', size) });

  const short = state(wanted.toString('hex') + '00'.repeat(40), 40);
  const wrong: Readonly<Record<string, Partial<StatedSubject>>> = {
    'the state of other bytes': { sha256State: hashStateOf(Buffer.from('apq')) },
    'the state of a longer message': state(stateText(Buffer.from('apple')), 5),
    'the state of a shorter message': state(stateText(Buffer.from('ap')), 2),
    'one block more than there were': state(stateText(app), 3 + 64),
    '2^32 bytes more than there were': state(stateText(app), 3 + 2 ** 32),
    'a digest in the place of the words': state(wanted.toString('hex'), 64),
    'a digest, and it is said to finish to itself': {
      ...state(wanted.toString('hex'), 0),
      sha256: toSha256(wanted.toString('hex'), 'attack'),
    },
    'words of its own choosing before the first whole block, and the digest to which they finish': {
      ...short,
      sha256: toSha256(sha256From(short.sha256State, 40, Buffer.alloc(0)).toString('hex'), 'attack'),
    },
    'padding in the tail': state(
      stateText(Buffer.from(`app\x80${'\0'.repeat(59)}\x18`, 'latin1')).slice(0, 64) +
        stateText(app).slice(64),
      3,
    ),
    'the digest of a message that goes on with a trailer of its own': {
      sha256: sha256(Buffer.concat([app, trailerOf(app)])),
    },
  };
  const good = stateText(app);
  const bent: Readonly<Record<string, Json>> = {
    'a state in upper case': { size: 3, sha256State: good.toUpperCase() },
    'a state of odd length': { size: 3, sha256State: good.slice(0, -1) },
    'a state without its tail': { size: 3, sha256State: good.slice(0, 64) },
    'a state with a longer tail': { size: 3, sha256State: `${good}00` },
    'a state for a size that has another tail': { size: 4, sha256State: good },
    'a state that is null': { size: 3, sha256State: null },
    'a state in base64': { size: 3, sha256State: Buffer.from(good, 'hex').toString('base64') },
    'a final digest beside the state': {
      size: 3,
      sha256State: good,
      signatureDigest: wanted.toString('hex'),
    },
    'a trailer beside the state': { size: 3, sha256State: good, trailer: '0418' },
    'the state of SHA-512': { size: 3, sha512State: good },
  };

  const builds = new Map<string, string>();
  const verdictOf = new Map<string, Verdict>();
  /** Offers it to the gate, which must say no; then, unless told otherwise, lays it behind the gate. */
  async function offer(
    what: string,
    held: Held & { readonly files: Map<string, Buffer> },
    bytes: Buffer,
    code: string,
    past = true,
  ): Promise<void> {
    expect((await post(world, held.build, held.files)).status, what).toBe(201);
    const statement = sign(held, bytes);
    const answer = await post(world, held.build, statement, held.token);
    expect([answer.status, answer.body.toString()], what).toEqual([422, expect.stringContaining(code)]);
    expectRefusedAnswer(answer);
    if (!past) return;
    await plant(world, held.build, new Map([...statement, ...blobs({ 'app.tgz': app })]));
    builds.set(what, held.build);
    verdictOf.set(what, `refused ${code}`);
  }
  const expectRefused = async (): Promise<void> => {
    await expectRound(world, await snapshot(world), builds, (what) => verdictOf.get(what) ?? 'none none');
    expect(world.agent.digests).not.toContain(wanted.toString('hex'));
    builds.clear();
  };

  test('about a state is denied at the gate, and past it ends the build; nothing is signed', async () => {
    for (const [at, [what, change]] of Object.entries(wrong).entries()) {
      const held = approve(`2.1.${at}`);
      const subjects = [{ ...honest, ...change }];
      await offer(what, held, encodeStatement(statementOf(held, {}, { subjects })), 'state-mismatch');
    }
    await expectRefused();
  });

  test('in another form, or in the other mode, too', async () => {
    for (const [at, [what, annotations]] of Object.entries(bent).entries()) {
      const held = approve(`2.2.${at}`);
      const json = readJson(encodeStatement(statementOf(held, {}, { subjects: [honest] })).toString());
      if (!isObject(json) || !Array.isArray(json['subject'])) throw new Error('no statement');
      (json['subject'] as Record<string, Json>[])[0]!['annotations'] = annotations;
      // one parser reads them all
      await offer(what, held, encodeCanonical(json), 'statement-malformed', at < 2);
    }
    const none = approve('2.3.0');
    await offer('no state', none, encodeStatement(statementOf(none, { 'app.tgz': app })), 'statement-mode');
    const some = approve('2.3.1');
    const [first, ...others] = statedSubjects(some, { 'app.tgz': app, 'b.txt': app });
    if (first === undefined) throw new Error('no subject');
    const { sha256State: _, ...bare } = first;
    const partly = statementOf(some, {}, { subjects: [bare, ...others] });
    await offer('no state on one', some, encodeStatement(partly), 'statement-mode');
    const fetched = approve('2.3.2', { mode: 'fetch' });
    const stated = statementOf(fetched, {}, { subjects: [honest] });
    await offer('a state in mode fetch', fetched, encodeStatement(stated), 'statement-mode');
    await expectRefused();
  });

  test('of two builders one has another state: refused, and the other is not enough', async () => {
    const held = await approveSeveral(world, '2.4', ['--builders', '2', '--quorum', '1', '--mode', 'digest']);
    const before = await snapshot(world);
    const other = { ...honest, sha256State: hashStateOf(Buffer.from('apq')) };
    const files = new Map([
      ...statedBy(held, 'b1', { ...statementOf(held, {}), subjects: [honest] }),
      ...statedBy(held, 'b2', {
        ...statementOf(held, {}, { slot: toSlot('b2', 'attack') }),
        subjects: [other],
      }),
    ]);
    await plant(world, held.build, new Map([...files, ...blobs({ 'app.tgz': app })]));
    const ran = await world.sign([held.build]);
    expect(verdicts(ran), ran.stderr).toEqual(['refused state-mismatch']);
    expect(world.agent.signatures).toBe(before.signatures);
  });

  test('words of the builder’s choosing, and the digest to which they finish: a signature of nothing, that nobody sees', async () => {
    const held = approve('2.5');
    expect((await post(world, held.build, held.files)).status).toBe(201);
    const chosen = toHashState(wanted.toString('hex') + '00'.repeat(40), 'attack', 104);
    const digest = sha256From(chosen, 104, Buffer.alloc(0));
    const subject = {
      ...honest,
      size: 104,
      sha256: toSha256(digest.toString('hex'), 'attack'),
      sha256State: chosen,
    };
    const statement = sign(held, statementOf(held, {}, { subjects: [subject] }));
    const before = await snapshot(world);
    await expectDenied(
      world,
      before,
      await post(world, held.build, statement, held.token),
      '422 blobs-missing',
    );
    // an L that goes along
    await plant(world, held.build, new Map([...statement, [`blobs/${subject.sha256}`, Buffer.alloc(104)]]));
    const since = world.agent.digests.length;
    const ran = await world.sign([held.build]);
    expect(ran.code, ran.stderr).toBe(3);
    expect(ran.stderr).toMatch(/\(app\.tgz\) is not what its name says/);
    expect((await snapshot(world)).published).toEqual(before.published);
    // what was signed ends with our own trailer all the same: it is neither digest
    const signed = world.agent.digests.slice(since);
    expect(signed).toHaveLength(2);
    for (const not of [digest, wanted]) expect(signed).not.toContain(not.toString('hex'));
    expect(await entries(world, held.build)).toEqual(['approval', 'statement', 'intent', 'release']);
  });
});

describe('an approval', () => {
  test('whose mode is changed after it was signed is nobody’s word', async () => {
    const held = await approveDigest(world, '3.0');
    const before = await snapshot(world);
    const changed = Buffer.from(held.bytes.toString().replace('"mode":"digest"', '"mode":"fetch"'));
    await plant(world, held.build, new Map([['approval.json', changed]]));
    await plant(
      world,
      held.build,
      sign({ ...held, bytes: changed }, statementOf({ ...held, bytes: changed }, { 'app.tgz': app })),
    );
    const ran = await world.sign([held.build]);
    expect(verdicts(ran), ran.stderr).toEqual(['approved approval-invalid']);
    expect(world.agent.signatures).toBe(before.signatures);
    await plant(
      world,
      held.build,
      new Map([
        ['approval.json', null],
        ['statements/b1.json', null],
      ]),
    );
  });

  test('for digest mode ends when the project does not allow it any more', async () => {
    const held = await approveDigest(world, '3.1');
    mustBe(0, await world.attest(held.ticket, { 'app.tgz': app }));
    await setDigestMode(world, false);
    try {
      const before = await snapshot(world);
      expect((await world.approve('3.2', ['--mode', 'digest'])).error).toMatchObject({ code: 'policy-mode' });
      const ran = await world.sign([held.build]);
      expect(verdicts(ran), ran.stderr).toEqual(['refused policy-mode']);
      expect(world.agent.signatures).toBe(before.signatures);
    } finally {
      await setDigestMode(world, true);
    }
  });
});
