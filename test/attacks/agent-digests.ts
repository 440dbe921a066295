/** What the agent was asked to sign, held against what lies there for all to see. */
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { expect } from 'vitest';
import type { World } from '../harness/world.ts';

/** The digest under a signature, computed from the bytes on the wire alone (RFC 4880 §5.2.4), and the signature's type. */
export function signedDigest(artifact: Buffer, armored: string): { type: number; digest: string } {
  const base64 = armored.split('\n\n')[1]?.replace(/\n[=-][^]*$/, '') ?? '';
  const packet = Buffer.from(base64, 'base64');
  const body = packet.subarray(packet.readUInt8(1) < 192 ? 2 : 3);
  const hashed = body.subarray(0, 6 + body.readUInt16BE(4));
  const end = Buffer.from([4, 0xff, 0, 0, 0, hashed.length]);
  const hash = body.readUInt8(3) === 10 ? 'sha512' : 'sha256';
  const digest = createHash(hash).update(artifact).update(hashed).update(end).digest('hex');
  return { type: body.readUInt8(1), digest };
}

/** These are the digests under the document signatures over the published artifacts, each once. */
export async function expectOwnDigests(
  of: World,
  digests: readonly string[],
  version: string,
): Promise<void> {
  const directory = of.tree('releases', of.project, version);
  const own = new Set<string>();
  for (const name of await readdir(directory, { recursive: true })) {
    if (!name.endsWith('.asc')) continue;
    const artifact = await readFile(`${directory}/${name.slice(0, -'.asc'.length)}`);
    const { type, digest } = signedDigest(artifact, await readFile(`${directory}/${name}`, 'utf8'));
    expect(type, name).toBe(0x00);
    own.add(digest);
  }
  expect([...digests].sort()).toEqual([...own].sort());
}
