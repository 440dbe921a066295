/** The builders of an approval as `approve` makes them: what is public goes into the approval, what is secret into a ticket each. */
import { randomBytes } from 'node:crypto';
import { usage } from '../failure.ts';
import type { Certificate } from '../openpgp/certificate.ts';
import { encryptionCure } from '../openpgp/encryption-cure.ts';
import { makeEphemeral } from '../openpgp/ephemeral.ts';
import { encryptionProblem, sealNonce } from '../openpgp/sealed.ts';
import { ephemeralCreation } from '../policy/builder-key.ts';
import type { Project } from '../policy/project.ts';
import type { Builder, Scheme } from '../records/approval.ts';
import { NONCE_BYTES } from '../records/mac.ts';
import { toSlot } from '../records/names.ts';
import type { BuildId, Slot, Timestamp, Version } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import type { TicketSecret } from '../records/ticket.ts';

export interface BuildersRequest {
  readonly version: Version;
  readonly build: BuildId;
  readonly count: number;
  readonly scheme: Scheme;
  readonly notBefore: Timestamp;
  /** Of scheme `enrol`. */
  readonly enrolBy: Timestamp;
}

/** One slot. */
export interface MadeBuilder {
  readonly builder: Builder;
  readonly secret: TicketSecret;
  readonly uploadToken: string;
}

/** The builders `b1` to `b<count>`, each with secrets of its own. Throws usage where nonces can't be sealed, unable. */
export async function makeBuilders(
  project: Project,
  request: BuildersRequest,
): Promise<ReadonlyMap<Slot, MadeBuilder>> {
  const certificate = request.scheme === 'keypair' ? null : sealingCertificate(project, request);
  const made = new Map<Slot, MadeBuilder>();
  for (let at = 1; at <= request.count; at += 1) {
    const slot = toSlot(`b${at}`, 'slot');
    const token = randomBytes(32);
    const uploadTokenSha256 = sha256Hex(token);
    const parts =
      certificate === null ? withKey(project, request, slot) : await withNonce(request, certificate);
    made.set(slot, {
      builder: { ...parts.builder, uploadTokenSha256 },
      secret: parts.secret,
      uploadToken: token.toString('base64url'),
    });
    token.fill(0);
  }
  return made;
}

type Parts = {
  readonly builder: WithoutToken<Builder>;
  readonly secret: TicketSecret;
};
type WithoutToken<B> = B extends Builder ? Omit<B, 'uploadTokenSha256'> : never;

/** Whom nonces are sealed to. Throws usage(`no-encryption-key`), which says what helps. */
function sealingCertificate(
  { encryption, name }: Project,
  { scheme, notBefore }: BuildersRequest,
): Certificate {
  const problem =
    encryption === null
      ? 'the project file names no encryption certificate of the signer'
      : encryptionProblem(encryption, new Date(notBefore));
  if (encryption !== null && problem === null) return encryption;
  throw usage(
    'no-encryption-key',
    `--scheme ${scheme}: ${problem}`,
    encryption === null
      ? `on H: gpg --export FPR > keys/signer.pgp, with encryption-certificate = "keys/signer.pgp" under [signer] of ${name}'s countersign.toml; ${everywhere} (a new project: init --signer-key FPR)`
      : renewing(encryption, new Date(notBefore)),
  );
}

const everywhere = 'copy both to every host, and restart serve on L';

function renewing(encryption: Certificate, now: Date): string {
  const commands = encryptionCure(encryption, now);
  if (commands === null)
    return `make a new key, put its certificate into the file that encryption-certificate names; ${everywhere}`;
  const { fingerprint } = encryption.primary;
  return `where its primary key is: ${commands.join(' && ')}; then gpg --export ${fingerprint} into the file that encryption-certificate names; ${everywhere}`;
}

/** A key of the slot's own. */
function withKey({ name }: Project, { version, build, notBefore }: BuildersRequest, slot: Slot): Parts {
  const userId = `${name} ${version} build ${build} slot ${slot}`;
  const { certificate, secretKey } = makeEphemeral({ userId, created: ephemeralCreation(notBefore) });
  const parts: Parts = {
    builder: { scheme: 'keypair', certificate: certificate.toString('base64') },
    secret: { scheme: 'keypair', secretKey: secretKey.toString('base64') },
  };
  secretKey.fill(0);
  return parts;
}

/** A nonce of the slot's own, for the ticket, and sealed for the signer. */
async function withNonce({ scheme, enrolBy }: BuildersRequest, certificate: Certificate): Promise<Parts> {
  const nonce = randomBytes(NONCE_BYTES);
  try {
    const sealed = {
      sealedNonce: (await sealNonce(nonce, certificate)).toString('base64'),
      nonceSha256: sha256Hex(nonce),
    };
    const text = nonce.toString('base64url');
    return scheme === 'enrol'
      ? {
          builder: { scheme, ...sealed, enrolBy },
          secret: { scheme, nonce: text, secretKey: null, enrolBy },
        }
      : { builder: { scheme: 'mac', ...sealed }, secret: { scheme: 'mac', nonce: text } };
  } finally {
    nonce.fill(0);
  }
}
