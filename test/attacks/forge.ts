/**
 * What somebody with an approver's key, or with a ticket that was not theirs, can make: validly signed, and
 * saying whatever they like. And how it gets to L: past the gate over HTTP, or straight into its files.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import type { EphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import { encodeApproval, parseApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { newBuildId, timestamp, toArtifactName, toSlot } from '../../src/records/names.ts';
import { approvalFile, approvalSignatureFile, blobFile } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { encodeStatement, sortSubjects } from '../../src/records/statement.ts';
import type { Statement } from '../../src/records/statement.ts';
import { parseTicket } from '../../src/records/ticket.ts';
import { packTar } from '../../src/tree/tar.ts';
import { secretKeyOf } from '../harness/keypair.ts';
import { rawRequest } from '../harness/raw-http.ts';
import type { HttpAnswer } from '../harness/raw-http.ts';
import type { Approved, Files, World } from '../harness/world.ts';
import { sealed } from '../policy/scene.ts';

/** A build's approval, and what its ticket holds. */
export interface Held {
  readonly build: string;
  readonly approval: Approval;
  /** `approval.json`. */
  readonly bytes: Buffer;
  readonly secret: EphemeralSecret;
  readonly token: Buffer;
}

/** Files of a build, by path below it; null takes one away. */
export type BuildFiles = ReadonlyMap<string, Buffer | null>;

export const b1 = toSlot('b1', 'attack');

/** What a thief knows who reads a ticket before it is used. */
export async function steal(
  world: World,
  { build, ticket: path }: Pick<Approved, 'build' | 'ticket'>,
): Promise<Held> {
  const bytes = await readFile(world.tree('builds', build, approvalFile));
  const ticket = parseTicket(await readFile(path, 'utf8'));
  return {
    ...{ build, bytes, approval: parseApproval(bytes) },
    secret: parseEphemeralSecret(Buffer.from(secretKeyOf(ticket) ?? '', 'base64')),
    token: Buffer.from(ticket.uploadToken, 'base64url'),
  };
}

/**
 * An approval that an approver of this world signs with gpg: `like` another, for a build and with a key of its own, and
 * with these changes. `certificate` stands for the builder's key then.
 */
export function forgeApproval(
  world: World,
  like: Approval,
  changes: Partial<Approval> = {},
  certificate?: Buffer,
): Held & { readonly files: Map<string, Buffer> } {
  const now = new Date();
  const notBefore = changes.notBefore ?? timestamp(now);
  const key = makeEphemeral({ userId: 'forged', created: ephemeralCreation(notBefore) });
  const token = randomBytes(32);
  const approval: Approval = {
    ...like,
    build: newBuildId(now, randomBytes(10)),
    notBefore,
    expires: timestamp(new Date(Date.parse(notBefore) + 3_600_000)),
    builders: {
      [b1]: {
        scheme: 'keypair',
        uploadTokenSha256: sha256Hex(token),
        certificate: (certificate ?? key.certificate).toString('base64'),
      },
    },
    ...changes,
  };
  const bytes = encodeApproval(approval);
  const held = { build: approval.build, approval, bytes, secret: parseEphemeralSecret(key.secretKey), token };
  return { ...held, files: approvalFiles(world, bytes) };
}

/** These bytes as an approval that the world's first approver signed with gpg. */
export function approvalFiles(world: World, bytes: Buffer): Map<string, Buffer> {
  const [home, approver] = [world.approverHomes[0], world.approvers[0]];
  if (home === undefined || approver === undefined) throw new Error('a world without approvers');
  return new Map([
    [approvalFile, bytes],
    [approvalSignatureFile(approver), home.sign(approver, bytes)],
  ]);
}

/** The statement that an honest builder of the build would make of these artifacts, with changes. */
export function statementOf(
  { build, approval, bytes }: Pick<Held, 'build' | 'approval' | 'bytes'>,
  contents: Files,
  changes: Partial<Statement> = {},
): Statement {
  const time = timestamp(new Date());
  const subjects = Object.entries(contents).map(([name, content]) => {
    const artifact = Buffer.from(content);
    return { name: toArtifactName(name, 'attack'), sha256: sha256Hex(artifact), size: artifact.length };
  });
  return {
    ...{ subjects: sortSubjects(subjects), build: approval.build, slot: b1, approval: sha256Hex(bytes) },
    ...{ source: approval.source, command: null, builderId: 'https://depot.example.org/builders/keypair' },
    ...{ invocationId: `${build}/forged`, startedOn: time, finishedOn: time },
    ...changes,
  };
}

/** A statement of the build (or bytes in its place), its signature and its envelope, by the holder of the ticket. */
export const sign = (held: Held, statement: Statement | Buffer, at = new Date()): Map<string, Buffer> =>
  sealed(Buffer.isBuffer(statement) ? statement : encodeStatement(statement), b1, held.secret, at);

/** The same files as a depot keeps them that had another statement before. */
export const asSecond = (files: ReadonlyMap<string, Buffer>): Map<string, Buffer> =>
  new Map([...files].map(([name, bytes]) => [name.replace('/b1.', '/b1.2.'), bytes]));

export const blobs = (contents: Files): Map<string, Buffer> =>
  new Map(
    Object.values(contents)
      .map((content) => Buffer.from(content))
      .map((bytes) => [blobFile(sha256Hex(bytes)), bytes]),
  );

/** Files of a build as L has them; null: it has not. */
export async function filesOf(world: World, build: string, names: readonly string[]): Promise<BuildFiles> {
  const read = (name: string) => readFile(world.tree('builds', build, name)).catch(() => null);
  return new Map(await Promise.all(names.map(async (name) => [name, await read(name)] as const)));
}

/** Writes files straight into L's data, past the gate, whatever was there; returns what was there before. */
export async function plant(world: World, build: string, files: BuildFiles): Promise<BuildFiles> {
  const before = await filesOf(world, build, [...files.keys()]);
  for (const [name, bytes] of files) {
    const path = world.tree('builds', build, name);
    // never in place: the depot may have linked it elsewhere
    await rm(path, { force: true });
    await mkdir(dirname(path), { recursive: true });
    if (bytes !== null) await writeFile(path, bytes);
  }
  return before;
}

/** Offers records over HTTP, through the gate. */
export const post = (
  world: World,
  build: string,
  files: ReadonlyMap<string, Buffer>,
  token?: Buffer,
): Promise<HttpAnswer> =>
  rawRequest(world.url, {
    method: 'POST',
    path: `/builds/${build}`,
    body: packTar([...files].map(([name, bytes]) => ({ name, bytes }))),
    ...(token && { token }),
  });

/** Offers a blob over HTTP. */
export const putBlob = (
  world: World,
  { build, token }: Pick<Held, 'build' | 'token'>,
  content: string | Buffer,
): Promise<HttpAnswer> =>
  rawRequest(world.url, {
    method: 'PUT',
    path: `/builds/${build}/${blobFile(sha256Hex(Buffer.from(content)))}`,
    body: content,
    token,
  });
