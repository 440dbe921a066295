/** Builds with several builders, and what each of them, or somebody with its ticket, can say. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import type { EphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { parseApproval } from '../../src/records/approval.ts';
import type { Approval } from '../../src/records/approval.ts';
import { toSlot } from '../../src/records/names.ts';
import { approvalFile } from '../../src/records/paths.ts';
import { encodeStatement } from '../../src/records/statement.ts';
import type { Statement } from '../../src/records/statement.ts';
import { parseTicket } from '../../src/records/ticket.ts';
import { secretKeyOf } from '../harness/keypair.ts';
import { mustBe } from '../harness/world.ts';
import type { Files, World } from '../harness/world.ts';
import { sealed } from '../policy/scene.ts';
import { blobs, post, putBlob, statementOf } from './forge.ts';

export interface Holder {
  /** Path of its ticket. */
  readonly ticket: string;
  readonly secret: EphemeralSecret;
  readonly token: Buffer;
}

export interface Several {
  readonly build: string;
  readonly approval: Approval;
  /** `approval.json`. */
  readonly bytes: Buffer;
  readonly holders: Readonly<Record<'b1' | 'b2' | 'b3', Holder>>;
}
export type SlotName = keyof Several['holders'];

/** `approve --builders 3 --quorum 2`, or as told. */
export async function approveSeveral(
  world: World,
  version: string,
  args: readonly string[] = ['--builders', '3', '--quorum', '2'],
): Promise<Several> {
  const { build, ticket, ...ran } = await world.approve(version, args);
  mustBe(0, ran);
  const bytes = await readFile(world.tree('builds', build, approvalFile));
  const holder = async (slot: SlotName): Promise<Holder> => {
    const path = join(dirname(ticket), `${slot}.ticket`);
    const line = await readFile(path, 'utf8').catch(() => readFile(ticket, 'utf8'));
    const read = parseTicket(line);
    const secret = parseEphemeralSecret(Buffer.from(secretKeyOf(read) ?? '', 'base64'));
    return { ticket: path, secret, token: Buffer.from(read.uploadToken, 'base64url') };
  };
  const holders = { b1: await holder('b1'), b2: await holder('b2'), b3: await holder('b3') };
  return { build, bytes, approval: parseApproval(bytes), holders };
}

/** The statement of a slot; signed by the key of `by`, where that is another's. */
export function statedBy(
  held: Several,
  slot: SlotName,
  statement: Files | Statement | Buffer,
  by: SlotName = slot,
): Map<string, Buffer> {
  const name = toSlot(slot, 'attack');
  const bytes = Buffer.isBuffer(statement)
    ? statement
    : encodeStatement(isStatement(statement) ? statement : statementOf(held, statement, { slot: name }));
  return sealed(bytes, name, held.holders[by].secret, new Date());
}

const isStatement = (value: Files | Statement): value is Statement => 'subjects' in value;

/** `attest`, past the program: artifacts and statement over HTTP. */
export async function send(world: World, held: Several, slot: SlotName, contents: Files): Promise<void> {
  const { token } = held.holders[slot];
  for (const content of blobs(contents).values())
    expect((await putBlob(world, { build: held.build, token }, content)).status).toBeOneOf([200, 201]);
  const { status, body } = await post(world, held.build, statedBy(held, slot, contents), token);
  expect(status, body.toString()).toBe(201);
}
