/** An approval as a person sees it before signing: everything that the signature covers, and what is other than last time. */
import type { Changes } from '../operator/changes.ts';
import type { CountedRevocation } from '../operator/evidence.ts';
import { keyFact } from '../openpgp/key-fact.ts';
import { ephemeralCertificate, slotsOf } from '../policy/builder-key.ts';
import { formatDuration } from '../policy/duration.ts';
import type { Project } from '../policy/project.ts';
import { encodeApproval, terms } from '../records/approval.ts';
import type { Approval, Builder } from '../records/approval.ts';
import { assuranceOf } from '../records/assurance.ts';
import { decodeBase64Strict, timestampDate } from '../records/names.ts';
import type { Fingerprint, Slot, Timestamp } from '../records/names.ts';
import { sha256Hex } from '../records/sha256.ts';
import { keyRows } from './rows.ts';
import { formatSize, plural, spaced, yellow } from './text.ts';
import type { Part } from './text.ts';

/** `this build of hello 1.1, 2 of 3 builders`: a question says what it asks, when the summary has scrolled away. */
export const buildInQuestion = ({ project, version, quorum, builders }: Approval): string =>
  `this build of ${project} ${version}, ${quorum} of ${plural(Object.keys(builders).length, 'builder')}`;

/** Rows for `linesToSign`: every field, the digest of the whole, and the terms. */
export function approvalRows(project: Project, approval: Approval): Part[][] {
  const { artifacts, source } = approval;
  const slots = slotsOf(approval);
  // A field that is added to the record has no row until somebody writes one: it does not compile before.
  const rows = {
    type: [['record', approval.type]],
    project: [['project', approval.project]],
    version: [['version', approval.version]],
    build: [['build', approval.build]],
    source:
      source === null
        ? [['source', yellow('source not stated')]]
        : [['source', `${source.uri} at ${source.digest.gitCommit}`]],
    artifacts: [
      ...artifacts.patterns.map((pattern, at) => [at === 0 ? 'artifacts' : '', pattern]),
      ['', `${plural(artifacts.maxCount, 'artifact')} at most`],
      ['', `${bytesText(artifacts.maxBytes)} each, ${bytesText(artifacts.maxTotalBytes)} in all`],
    ],
    builders: slots.flatMap((slot) => builderRows(approval, slot)),
    quorum: [
      ['quorum', `${approval.quorum} of ${plural(slots.length, 'builder')}: ${assuranceOf(approval)}`],
      ...quorumNotes(approval.quorum, slots.length).map((note) => ['', yellow(note)]),
    ],
    mode: [
      ['mode', approval.mode],
      ...(approval.mode === 'digest'
        ? [['', yellow('signed without being fetched: the signer sees no artifact')]]
        : []),
    ],
    notBefore: [['from', approval.notBefore]],
    expires: [['until', `${approval.expires}, for ${lifetime(approval)}`]],
    signer: [['signer', approval.signer]],
    releaseKey: keyRows('signs it', {
      fingerprint: approval.releaseKey,
      userId: keyFact(project.release.certificate).userId,
    }),
    requester: approverRows(project, 'asked by', approval.requester),
  } satisfies Record<keyof Approval, Part[][]>;
  return [
    ...Object.values<Part[][]>(rows).flat(),
    ['digest', sha256Hex(encodeApproval(approval))],
    ['terms', terms(approval)],
  ];
}

/** What a small quorum means; empty for one that needs no word. */
function quorumNotes(quorum: number, builders: number): string[] {
  if (builders === 1 || quorum > builders / 2) return [];
  if (quorum === 1)
    return [`one builder alone is enough, however many there are: another that differs counts only in time`];
  return [`no majority: ${quorum} that agree are enough, and others that differ count only in time`];
}

/** Of one slot: all that the approval says of it, keys and nonces by what they are known by. */
function builderRows({ builders }: Approval, slot: Slot): Part[][] {
  const builder = builders[slot];
  if (builder === undefined) return [];
  return [
    [slot, builder.scheme],
    ...secretRows(builder).map(([what, value]) => ['', `${what} ${value}`]),
    ['', `upload token, its SHA-256 ${builder.uploadTokenSha256}`],
  ];
}

function secretRows(builder: Builder): [what: string, value: string][] {
  if (builder.scheme === 'keypair') {
    const { fingerprint } = ephemeralCertificate(builder).primary;
    return [
      ['key', spaced(fingerprint)],
      ['certificate, its SHA-256', digestOf(builder.certificate)],
    ];
  }
  const nonce: [string, string][] = [
    ['nonce, its SHA-256', builder.nonceSha256],
    ['sealed, its SHA-256', digestOf(builder.sealedNonce)],
  ];
  if (builder.scheme === 'mac') return [...nonce, ['its MAC', 'convinces the signer alone']];
  return [...nonce, ['enrols until', builder.enrolBy]];
}

const digestOf = (base64: string): string => sha256Hex(decodeBase64Strict(base64, 'certificate or nonce'));

/** To the byte, as it is signed; and as people say it. */
const bytesText = (bytes: number): string =>
  bytes < 1024 ? `${bytes} bytes` : `${bytes} bytes (${formatSize(bytes)})`;

const lifetime = ({ notBefore, expires }: { notBefore: Timestamp; expires: Timestamp }): string =>
  formatDuration((timestampDate(expires).getTime() - timestampDate(notBefore).getTime()) / 1000);

/** An approver by the project file; one that it does not name has no name. */
export const approverRows = ({ approvers }: Project, label: string, fingerprint: Fingerprint): Part[][] => {
  const certificate = approvers.find(({ primary }) => primary.fingerprint === fingerprint);
  const userId = certificate === undefined ? 'no approver of the project file' : keyFact(certificate).userId;
  return keyRows(label, { fingerprint, userId });
};

/** Who revoked it, when, and why. */
export const revocationRows = (project: Project, { approver, reason, time }: CountedRevocation): Part[][] => [
  ...approverRows(project, 'revoked by', approver),
  ['', `at ${time}: ${reason}`],
];

/** What is other than in the project's last approval. */
export function changeRows(changes: Changes): Part[][] {
  switch (changes.kind) {
    case 'first':
      return [['changes', 'first approval: there is none to compare with']];
    case 'unseen':
      return [['changes', yellow(`not seen: ${changes.why}`)]];
    case 'compared':
      break;
  }
  const since = `since build ${changes.build}`;
  if (changes.changes.length === 0) return [['changes', `nothing but version and commit ${since}`]];
  return [
    ['changes', since],
    ...changes.changes.map(({ field, from, to }) => ['', yellow(`${field}: ${from} → ${to}`)]),
  ];
}
