/** Builders that make keys of their own, and introduce them by the nonces of their tickets (scheme `enrol`). */
import { makeEphemeral, parseEphemeralSecret } from '../../src/openpgp/ephemeral.ts';
import type { Ephemeral } from '../../src/openpgp/ephemeral.ts';
import { ephemeralCreation } from '../../src/policy/builder-key.ts';
import { encodeEnrolment } from '../../src/records/enrolment.ts';
import type { Enrolment } from '../../src/records/enrolment.ts';
import { macOf } from '../../src/records/mac.ts';
import { enrolmentFile, enrolmentMacFile, enrolmentSignatureFile } from '../../src/records/paths.ts';
import { toSlot } from '../../src/records/names.ts';
import type { Files } from '../policy/scene.ts';
import type { ManyBuild } from './builders.ts';
import type { Scene } from './scene.ts';

/** A key as a builder makes it for this build. */
export const newKey = ({ approval }: ManyBuild, userId = 'hello 1.0 b1'): Ephemeral =>
  makeEphemeral({ userId, created: ephemeralCreation(approval.notBefore) });

/** What an enrolment is made with, where that is not what it should be. */
export interface Odd {
  readonly nonce?: Buffer;
  /** Whose the MAC says that it is. */
  readonly macSlot?: string;
  readonly purpose?: 'statement' | 'enrolment';
  /** Who signs it. */
  readonly possessor?: Ephemeral;
  /** What it says. */
  readonly record?: Partial<Enrolment>;
  /** In place of all that it says. */
  readonly bytes?: Buffer;
}

/** The enrolment of `key` for the slot, as `attest` sends it. */
export function enrolmentOf(
  scene: Scene,
  build: ManyBuild,
  name: string,
  key: Ephemeral,
  odd: Odd = {},
): Files {
  const ticket = build.tickets[name];
  if (ticket === undefined) throw new Error(`no builder ${name}`);
  const { slot, nonce } = ticket;
  const certificate = key.certificate.toString('base64');
  const record = { build: build.build, slot, approval: build.digest, certificate, ...odd.record };
  const bytes = odd.bytes ?? encodeEnrolment(record);
  const macKey = {
    purpose: odd.purpose ?? 'enrolment',
    nonce: odd.nonce ?? nonce,
    build: build.build,
  } as const;
  const secret = parseEphemeralSecret((odd.possessor ?? key).secretKey);
  return new Map([
    [enrolmentFile(slot), bytes],
    [enrolmentSignatureFile(slot), secret.sign(bytes, scene.now().getTime() / 1000)],
    [enrolmentMacFile(slot), macOf({ ...macKey, slot: toSlot(odd.macSlot ?? name, 'odd') }, bytes)],
  ]);
}

/** Sends it through the gate. */
export async function enrol(
  scene: Scene,
  build: ManyBuild,
  name: string,
  key: Ephemeral,
  odd: Odd = {},
): Promise<void> {
  const token = build.tickets[name]?.token ?? Buffer.alloc(0);
  await scene.depot.as(token).submit(build.build, enrolmentOf(scene, build, name, key, odd));
}

/** The build, with the key that the slot's builder has by now. */
export const withKey = (build: ManyBuild, name: string, key: Ephemeral): ManyBuild => {
  const ticket = build.tickets[name];
  if (ticket === undefined) throw new Error(`no builder ${name}`);
  return {
    ...build,
    tickets: { ...build.tickets, [name]: { ...ticket, secret: parseEphemeralSecret(key.secretKey) } },
  };
};
