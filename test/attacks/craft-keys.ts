/** Keys of this project that a test has in its own hands, and not in gpg: to sign with as gpg never would. */
import { createPrivateKey } from 'node:crypto';
import { appendFile, writeFile } from 'node:fs/promises';
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import { parsePackets } from '../../src/openpgp/packet.ts';
import { refused } from '../../src/failure.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import type { Approval } from '../../src/records/approval.ts';
import { timestamp } from '../../src/records/names.ts';
import { asCraftKey } from '../harness/craft.ts';
import type { CraftKey } from '../harness/craft.ts';
import type { World } from '../harness/world.ts';
import { forgeApproval } from './forge.ts';
import type { Held } from './forge.ts';

/** A version 4 Ed25519 key packet; behind it, where it is not encrypted: usage, length and the seed, a checksum. */
const PUBLIC_BODY = 51;
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The private half in a ticket, as whoever has read it can use it. */
export function craftKeyOf(secretKey: Buffer): CraftKey {
  const [packet] = parsePackets(secretKey, (text) => refused('crafted-key', text));
  const body = packet?.body ?? Buffer.alloc(0);
  const seed = Buffer.alloc(32);
  const number = body.subarray(PUBLIC_BODY + 3, -2);
  number.copy(seed, 32 - number.length);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' });
  return asCraftKey(body.subarray(0, PUBLIC_BODY), key);
}

/** An approval as `forgeApproval` makes it, and its builder's key to craft with. */
export function forgeBuild(
  world: World,
  like: Approval,
  changes: Partial<Approval> = {},
): { readonly held: Held; readonly files: Map<string, Buffer>; readonly key: CraftKey } {
  const notBefore = changes.notBefore ?? timestamp(new Date());
  const pair = makeEphemeral({ userId: 'forged', created: ephemeralCreation(notBefore) });
  const { files, ...held } = forgeApproval(world, like, { notBefore, ...changes }, pair.certificate);
  return {
    held: { ...held, secret: parseEphemeralSecret(pair.secretKey) },
    files,
    key: craftKeyOf(pair.secretKey),
  };
}

let approvers = 0;

/** Makes the holder of a certificate one more approver of the project, on every host. */
export async function addApprover(world: World, certificate: Buffer): Promise<void> {
  const name = `keys/crafted-${++approvers}.pgp`;
  await writeFile(world.path('H', name), certificate);
  await appendFile(world.path('H', 'countersign.toml'), `\n[[approvers]]\ncertificate = "${name}"\n`);
  await world.shareProject();
}
