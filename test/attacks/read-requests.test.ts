/**
 * Read requests: an approver of the project file reads artifacts in quarantine, of one build, of this depot, for five
 * minutes; and gets nothing else by it. Not defended: whoever overhears one may repeat it as long as it is good.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseApproval } from '../../src/records/approval.ts';
import { timestamp } from '../../src/records/names.ts';
import type { Fingerprint } from '../../src/records/names.ts';
import {
  approvalFile,
  approvalSignatureFile,
  blobFile,
  revocationFile,
  revocationSignatureFile,
} from '../../src/records/paths.ts';
import { encodeReadRequest } from '../../src/records/read-request.ts';
import type { ReadRequest } from '../../src/records/read-request.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { packTar } from '../../src/tree/tar.ts';
import { expectUntouched, snapshot } from '../harness/invariants.ts';
import { rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer, HttpRequest } from '../harness/raw-http.ts';
import { mustBe, World } from '../harness/world.ts';
import { plant, post } from './forge.ts';
import { expectDenied, expectSigned, verdicts } from './outcome.ts';

const contents = { app: 'app' };
const blob = blobFile(sha256Hex(contents.app));
const minutes = (count: number): Date => new Date(Date.now() + count * 60_000);

let world: World;
let build: string;
let other: string;
let origin: string;
let approval: Buffer;
beforeAll(async () => {
  world = await World.make({ approvers: 3, threshold: 2 });
  for (const version of ['1.0', '1.1']) {
    const approved = await world.approve(version);
    mustBe(0, await world.attest(approved.ticket, contents));
    [build, other] = [other, approved.build];
  }
  approval = await readFile(world.tree('builds', build, approvalFile));
  origin = parseApproval(approval).signer;
});
afterAll(() => world.close());

const sign = (person: number, bytes: Buffer, ...how: string[]): Buffer =>
  world.approverHomes[person]?.sign(world.approvers[person] ?? '', bytes, how) ?? Buffer.alloc(0);
const requestOf = (changes: Partial<ReadRequest> = {}): Buffer =>
  encodeReadRequest({
    ...({ signer: origin, build, depot: world.url, time: timestamp(new Date()) } as ReadRequest),
    ...changes,
  });
const header = (bytes: Buffer, signature: Buffer): { readonly Authorization: string } => ({
  Authorization: `Countersign-Read ${bytes.toString('base64url')}.${signature.toString('base64url')}`,
});
const ask = (bytes: Buffer, signature: Buffer, request: Partial<HttpRequest> = {}): Promise<HttpAnswer> =>
  rawRequest(world.url, { path: `/builds/${build}/${blob}`, headers: header(bytes, signature), ...request });

describe('a read request', () => {
  test('of any approver is good, also nearly five minutes later or earlier; the file is theirs to look at', async () => {
    for (const [person, at] of [
      [0, 0],
      [1, -4.5],
      [2, 4.5],
    ] as const) {
      // prettier-ignore
      const bytes = requestOf({ time: timestamp(minutes(at)) });
      const answer = await ask(bytes, sign(person, bytes));
      expect([answer.status, answer.body.toString()]).toEqual([200, 'app']);
    }
    const directory = world.path('operator', 'fetched');
    const ran = await world.runOn('operator', ['status', build, '--fetch', directory], { approver: 1 });
    mustBe(0, ran);
    expect(await readFile(`${directory}/b1/app`, 'utf8')).toBe('app');
  });

  test.each<[what: string, verdict: `${number} ${string}`, changes: () => Partial<ReadRequest>]>([
    ['for another build', '403 read-request-foreign', () => ({ build: other as ReadRequest['build'] })],
    ['for another depot', '403 read-request-foreign', () => ({ depot: 'https://elsewhere.example.org' })],
    ['for a path of this depot', '403 read-request-foreign', () => ({ depot: `${world.url}/builds` })],
    ['about another signer', '403 read-request-foreign', () => ({ signer: 'example.org/another' })],
    ['of six minutes ago', '403 read-request-expired', () => ({ time: timestamp(minutes(-6)) })],
    ['of six minutes from now', '403 read-request-expired', () => ({ time: timestamp(minutes(6)) })],
    ['of years ago', '403 read-request-expired', () => ({ time: timestamp(new Date(0)) })],
  ])('%s shows nothing', async (_, verdict, changes) => {
    const before = await snapshot(world);
    const bytes = requestOf(changes());
    await expectDenied(world, before, await ask(bytes, sign(0, bytes)), verdict);
  });

  test('that nobody signed, or not as it is, shows nothing', async () => {
    const before = await snapshot(world);
    const bytes = requestOf();
    const stranger = world.releaseHome.generate({ userId: 'Mallory <mallory@example.org>' });
    for (const signature of [
      world.releaseHome.sign(stranger, bytes),
      world.releaseHome.sign(world.releaseKey, bytes),
      sign(0, requestOf({ build: other as ReadRequest['build'] })),
      sign(0, bytes, '--textmode'),
      world.approverHomes[0]?.gpg(['--sign', '-o', '-'], bytes) ?? Buffer.alloc(0),
      Buffer.concat([sign(0, bytes), sign(1, bytes)]),
    ])
      await expectDenied(world, before, await ask(bytes, signature), '403 signature-invalid');
  });

  test('that is an approval or a revocation, as an approver signed it, is none', async () => {
    const before = await snapshot(world);
    const signature = await readFile(
      world.tree('builds', build, approvalSignatureFile(world.approvers[0] as Fingerprint)),
    );
    await expectDenied(world, before, await ask(approval, signature), '401 read-request-malformed');
    const spaced = Buffer.from(requestOf().toString().replace('{', '{ '));
    await expectDenied(world, before, await ask(spaced, sign(0, spaced)), '401 read-request-malformed');
  });

  test('of an approver who was removed shows nothing; when they are back, it does', async () => {
    const toml = await readFile(world.path('H', 'countersign.toml'), 'utf8');
    const gone = `[[approvers]]\ncertificate = "keys/approver-${world.approvers[2]}.pgp"\n`;
    expect(toml).toContain(gone);
    const bytes = requestOf();
    const signature = sign(2, bytes);
    const serve = async (text: string): Promise<void> => {
      await writeFile(world.path('L', 'countersign.toml'), text);
      await world.stopServer();
      await world.startServer();
    };
    await serve(toml.replace(gone, ''));
    const before = await snapshot(world);
    await expectDenied(world, before, await ask(bytes, signature), '403 signature-invalid');
    await serve(toml);
    expect((await ask(bytes, signature)).status).toBe(200);
  });

  test('writes nothing, and gets nothing more than files of its build', async () => {
    const bytes = requestOf();
    const signature = sign(0, bytes);
    const headers = header(bytes, signature);
    const evil = Buffer.from('evil');
    const before = await snapshot(world);
    const records = packTar([{ name: 'statements/b1.json', bytes: evil }]);
    const requests: HttpRequest[] = [
      { method: 'PUT', path: `/builds/${build}/${blobFile(sha256Hex(evil))}`, body: evil },
      {
        method: 'POST',
        path: `/builds/${build}/blobs`,
        body: packTar([{ name: sha256Hex(evil), bytes: evil }]),
      },
      { method: 'POST', path: `/builds/${build}`, body: records },
      { method: 'DELETE', path: `/builds/${build}/${blob}` },
      { path: `/builds/${other}/${blob}` },
      { method: 'POST', path: `/builds/${other}/fetch`, body: JSON.stringify([sha256Hex(contents.app)]) },
      { path: `/builds/${build}/../${other}/${blob}` },
      { path: '/log/../countersign.toml' },
    ];
    for (const request of requests) {
      const answer = await rawRequest(world.url, { ...request, headers });
      expect(answer.body.toString(), request.path).not.toBe('app');
      await expectUntouched(world, before, { answers: [answer] });
    }
    const release = await rawRequest(world.url, { path: '/releases/widget/1.0/app', headers });
    expect(release.status).toBe(404);
  });

  test('is no endorsement and no revocation: what it was signed for is in it', async () => {
    const bytes = requestOf();
    const [name, signature] = [world.approvers[1] as Fingerprint, sign(1, bytes)];
    const before = await snapshot(world);
    const endorsing = new Map([[approvalSignatureFile(name), signature]]);
    await expectDenied(world, before, await post(world, build, endorsing), '403 signature-invalid');
    const revoking = new Map([
      [revocationSignatureFile(name), signature],
      [revocationFile(name), bytes],
    ]);
    await expectDenied(world, before, await post(world, build, revoking), '422 record-malformed');
    await plant(world, build, new Map([...endorsing, ...revoking]));
    const ran = await world.sign([build]);
    expect(verdicts(ran)).toEqual(['approved approval-waits']);
    await expectUntouched(world, before, { answers: [] });
    // the one that is meant is taken, and the build signed, whatever lies about
    await plant(world, build, new Map([[approvalSignatureFile(name), sign(1, approval)]]));
    await expectSigned(world, build, '1.0', contents);
  });
});
