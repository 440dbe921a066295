/** What statements and enrolments should be, and what vouches for each. */
import { Failure } from '../../failure.ts';
import type { Certificate } from '../../openpgp/certificate.ts';
import { attempt } from '../../policy/attempt.ts';
import { builderOf, ephemeralCertificate } from '../../policy/builder-key.ts';
import { envelopeProblem } from '../../policy/envelope.ts';
import { verifyEnrolment } from '../../policy/release-chain.ts';
import type { Scheme } from '../../records/approval.ts';
import { parseEnvelope } from '../../records/dsse.ts';
import { parseEnrolment } from '../../records/enrolment.ts';
import { isMacFile } from '../../records/mac.ts';
import type { Sha256, Slot } from '../../records/names.ts';
import { VARIANTS, buildPath, parseBuildFile } from '../../records/paths.ts';
import { enrolmentFile, enrolmentMacFile, enrolmentReceiptFile } from '../../records/paths.ts';
import { enrolmentSignatureFile } from '../../records/paths.ts';
import { statementAuthenticatorFile, statementEnvelopeFile, statementFile } from '../../records/paths.ts';
import { statementMacFile } from '../../records/paths.ts';
import type { Variant } from '../../records/paths.ts';
import { sha256Hex } from '../../records/sha256.ts';
import { parseStatement } from '../../records/statement.ts';
import type { Expected, Problem } from './expected.ts';
import { proofProblem } from './facts.ts';
import type { Facts } from './facts.ts';
import { fits } from './signed.ts';
import { LOG, apart, digest, expected, namedOr, variantsOf } from './place.ts';
import type { Place } from './place.ts';

/** The keys that the log or the builders have introduced are added to `certificates`. */
export async function* enrolmentsOf(
  place: Place,
  slot: Slot,
  certificates: Certificate[],
): AsyncGenerator<Expected, void, undefined> {
  const { facts, there, at } = place;
  const builder = facts.approval && builderOf(facts.approval, slot);
  if (builder?.scheme === 'keypair') {
    const certificate = attempt(() => ephemeralCertificate(builder));
    if (!(certificate instanceof Failure)) certificates.push(certificate);
  }
  if (builder?.scheme !== 'enrol') return;
  const line = facts.lines.find(
    ({ entry }) => entry.type === 'enrolment' && isOf(entry.records, 'enrolment', slot),
  );
  const [path, sha256] = (line && isOf(line.entry.records, 'enrolment', slot)) ?? [null, null];
  const inBuild = VARIANTS.map((variant) => buildPath(facts.build, enrolmentFile(slot, variant)));
  const records = new Map<Variant, Buffer>();
  for (const variant of variantsOf(place)) {
    const bytes = await facts.read(at(enrolmentFile(slot, variant)));
    if (bytes !== null) records.set(variant, bytes);
  }
  const logged = await firstWith(facts, [...inBuild, at(enrolmentFile(slot))], sha256);
  const home = homeOf(place, records, sha256, path, enrolmentFile(slot));
  for (const variant of variantsOf(place)) {
    const [file, signatureName, macName] = [enrolmentFile, enrolmentSignatureFile, enrolmentMacFile].map(
      (name) => name(slot, variant),
    );
    if (file === undefined || signatureName === undefined || macName === undefined) continue;
    const isLogged = file === home && sha256 !== null;
    const isThere = [file, signatureName, macName].some((each) => there.has(each));
    if (!isThere && !isLogged) continue;
    const bytes = isLogged ? logged : (records.get(variant) ?? null);
    const certificate = bytes && keyOf(bytes);
    if (certificate !== null && !(certificate instanceof Failure)) certificates.push(certificate);
    const signature = await facts.read(at(signatureName));
    const judge = (found: Buffer): Problem | null => {
      const key = keyOf(found);
      if (key instanceof Failure) return { code: 'malformed', text: key.message };
      return signature === null || fits(signature, found, key) ? null : apart(file, signatureName);
    };
    const why = isLogged ? LOG : there.has(file) ? file : facts.isOpen ? 'what lies beside it' : null;
    yield expected(place, file, isLogged ? digest(sha256, LOG) : judge, why, { sources: inBuild });
    const ownKey = certificate instanceof Failure ? null : certificate;
    const fit = namedOr(facts, (found) =>
      !bytes || !ownKey || fits(found, bytes, ownKey) ? null : apart(signatureName, file),
    );
    const besideOf = (name: (slot: Slot, variant?: Variant) => string): string[] =>
      VARIANTS.map((each) => buildPath(facts.build, name(slot, each)));
    yield expected(place, signatureName, fit, why && file, { sources: besideOf(enrolmentSignatureFile) });
    const loggedMac = isLogged ? line?.entry.records[enrolmentMacFile(slot)] : undefined;
    const mac = await macRule(place, loggedMac, (each) => enrolmentMacFile(slot, each));
    yield expected(place, macName, mac, why && file, { sources: besideOf(enrolmentMacFile) });
  }

  const receipt = enrolmentReceiptFile(slot);
  const proves = (found: Buffer): Problem | null => {
    if (line !== null && line !== undefined) return proofProblem(found, line, facts);
    const candidates = [...records.values()];
    const verdicts = candidates.map((bytes) =>
      attempt(() => verifyEnrolment(found, bytes, facts.question.project.log)),
    );
    const [first] = verdicts;
    return verdicts.every((verdict) => verdict instanceof Failure) && first instanceof Failure
      ? { code: 'proof', text: first.message }
      : null;
  };
  const isUsed = facts.lines.some(({ entry }) => isOf(entry.records, 'statement', slot) !== null);
  const make = async (): Promise<Buffer | null> =>
    (line && (await facts.question.ledger?.proof(line.index, line.leaf))) ?? null;
  if (isUsed || there.has(receipt)) yield expected(place, receipt, proves, isUsed ? LOG : null, { make });
}

export async function* statementsOf(
  place: Place,
  slot: Slot,
  certificates: readonly Certificate[],
): AsyncGenerator<Expected, void, undefined> {
  const { facts, there, at, isRelease } = place;
  if (facts.approval === null) return;
  const { scheme } = builderOf(facts.approval, slot);
  const believed = facts.manifest?.statements[slot];
  // by the path that the signer saw; another depot may have numbered them otherwise
  const logged = new Map<string, Sha256>();
  for (const { entry } of facts.lines)
    for (const [path, sha256] of Object.entries(entry.records)) {
      const file = parseBuildFile(path);
      if (file?.kind === 'statement' && file.slot === slot) logged.set(path, sha256);
    }
  if (isRelease) {
    logged.clear();
    if (believed === undefined) return;
    logged.set(statementFile(slot), believed);
  }
  const inBuild = VARIANTS.map((variant) => buildPath(facts.build, statementFile(slot, variant)));
  const records = new Map<Variant, Buffer>();
  for (const variant of variantsOf(place)) {
    const bytes = await facts.read(at(statementFile(slot, variant)));
    if (bytes !== null) records.set(variant, bytes);
  }
  const homes = new Map(
    [...logged].map(([path, sha256]) => [homeOf(place, records, sha256, path, path), sha256] as const),
  );
  for (const variant of variantsOf(place)) {
    const file = statementFile(slot, variant);
    const [name, envelopeName] = [
      statementAuthenticatorFile(scheme, slot, variant),
      statementEnvelopeFile(slot, variant),
    ];
    const sha256 = homes.get(file) ?? null;
    if (sha256 === null && ![file, name, envelopeName].some((each) => there.has(each))) continue;
    const authenticator = await facts.read(at(name));
    const envelope = await envelopeOf(place, envelopeName, certificates);
    const found =
      sha256 === null
        ? (records.get(variant) ?? null)
        : await firstWith(facts, [...inBuild, at(file)], sha256);
    const candidates = [found, envelope].filter((bytes) => bytes !== null);
    const judge = judgeStatement(place, {
      scheme,
      slot,
      variant,
      name,
      authenticator,
      envelope,
      certificates,
    });
    const why = sha256 !== null ? LOG : there.has(file) ? file : facts.isOpen ? 'what lies beside it' : null;
    yield expected(place, file, sha256 === null ? judge : digest(sha256, LOG), why, {
      sources: inBuild,
      make: async () => envelope,
    });
    const loggedMac = sha256 === null ? undefined : facts.named.get(statementMacFile(slot));
    const mac = await macRule(place, loggedMac, (each) => statementMacFile(slot, each));
    const fit = namedOr(facts, (bytes) => {
      if (certificates.length === 0 || candidates.length === 0) return null;
      const goes = candidates.some((each) => certificates.some((key) => fits(bytes, each, key)));
      return goes ? null : apart(name, file);
    });
    const beside = VARIANTS.map((each) =>
      buildPath(facts.build, statementAuthenticatorFile(scheme, slot, each)),
    );
    yield expected(place, name, scheme === 'mac' ? mac : fit, why && file, { sources: beside });
    if (scheme !== 'mac') yield* envelopeExpected(place, slot, variant, candidates[0] ?? null, certificates);
  }
}

/** Nothing here can check a MAC: it is the one that is logged, unless that lies in another of the slot's places. */
async function macRule(
  place: Place,
  logged: Sha256 | undefined,
  name: (variant: Variant) => string,
): Promise<(bytes: Buffer) => Problem | null> {
  let elsewhere = logged === undefined;
  for (const variant of variantsOf(place)) {
    const bytes = await place.facts.read(place.at(name(variant)));
    if (bytes !== null && sha256Hex(bytes) === logged) elsewhere = true;
  }
  return namedOr(place.facts, (found) =>
    isMacFile(found) && elsewhere ? null : { code: 'digest', text: 'it is not the MAC that was sent' },
  );
}

interface Stated {
  readonly scheme: Scheme;
  readonly slot: Slot;
  readonly variant: Variant;
  /** Of its authenticator. */
  readonly name: string;
  readonly authenticator: Buffer | null;
  /** The payload of its envelope, if that is whole. */
  readonly envelope: Buffer | null;
  readonly certificates: readonly Certificate[];
}

/** A statement that the log does not name yet. */
const judgeStatement =
  ({ facts }: Place, stated: Stated) =>
  (bytes: Buffer): Problem | null => {
    const { scheme, slot, variant, name, authenticator, envelope, certificates } = stated;
    // a further one is kept whatever it says
    if (variant === 1) {
      const statement = attempt(() => parseStatement(bytes));
      if (statement instanceof Failure) return { code: 'malformed', text: statement.message };
      if (statement.build !== facts.build || statement.slot !== slot)
        return { code: 'malformed', text: 'it is of another build or builder' };
    }
    if (scheme === 'mac' || certificates.length === 0) return null;
    if (envelope !== null)
      return envelope.equals(bytes) ? null : apart('', statementEnvelopeFile(slot, variant));
    if (authenticator === null) return null;
    return certificates.some((key) => fits(authenticator, bytes, key)) ? null : apart('', name);
  };

/** The payload of an envelope that a builder of the slot has signed. */
async function envelopeOf(
  { facts, at }: Place,
  file: string,
  certificates: readonly Certificate[],
): Promise<Buffer | null> {
  for (const path of new Set([at(file), ...facts.places(file)])) {
    const envelope = await facts.read(path);
    const parsed = envelope && attempt(() => parseEnvelope(envelope));
    if (envelope === null || parsed === null || parsed instanceof Failure) continue;
    const { payload } = parsed;
    if (certificates.some(({ primary }) => envelopeProblem(envelope, payload, primary) === null))
      return payload;
  }
  return null;
}

/** Nothing rests on it: it must be there where its other copy is. */
async function* envelopeExpected(
  place: Place,
  slot: Slot,
  variant: Variant,
  statement: Buffer | null,
  certificates: readonly Certificate[],
): AsyncGenerator<Expected, void, undefined> {
  const { facts, there, at } = place;
  const file = statementEnvelopeFile(slot, variant);
  const judge = (bytes: Buffer): Problem | null => {
    if (statement === null || certificates.length === 0) return null;
    const problems = certificates.map(({ primary }) => envelopeProblem(bytes, statement, primary));
    return problems.includes(null) ? null : { code: 'signature', text: problems[0] ?? '' };
  };
  const others = facts.places(file).filter((path) => path !== at(file));
  let needed: string | null = null;
  for (const path of others) {
    const bytes = await facts.read(path);
    if (bytes !== null && judge(bytes) === null && statement !== null) needed = path;
  }
  if (needed !== null || there.has(file)) yield expected(place, file, judge, needed);
}

/** Which of a slot's places the logged record has: where it lies, else where the signer saw it. */
function homeOf(
  { isRelease }: Place,
  records: ReadonlyMap<Variant, Buffer>,
  sha256: Sha256 | null,
  path: string | null,
  first: string,
): string | null {
  if (isRelease || sha256 === null || path === null) return sha256 === null ? null : first;
  const parsed = parseBuildFile(path);
  if (parsed?.kind !== 'statement' && parsed?.kind !== 'enrolment') return path;
  const name = parsed.kind === 'statement' ? statementFile : enrolmentFile;
  for (const [variant, bytes] of records) if (sha256Hex(bytes) === sha256) return name(parsed.slot, variant);
  return path;
}

async function firstWith(
  facts: Facts,
  paths: readonly string[],
  sha256: Sha256 | null,
): Promise<Buffer | null> {
  for (const path of sha256 === null ? [] : [...paths, ...paths.flatMap((each) => inRelease(facts, each))]) {
    const bytes = await facts.read(path);
    if (bytes !== null && sha256Hex(bytes) === sha256) return bytes;
  }
  return null;
}

/** The same file in the release. */
function inRelease({ build, target }: Facts, path: string): string[] {
  const prefix = `${buildPath(build)}/`;
  return target !== null && path.startsWith(prefix)
    ? [`${target}/countersign/${path.slice(prefix.length)}`]
    : [];
}

function isOf(
  records: Readonly<Record<string, Sha256>>,
  kind: 'enrolment' | 'statement',
  slot: Slot,
): [string, Sha256] | null {
  for (const [path, sha256] of Object.entries(records)) {
    const file = parseBuildFile(path);
    if (file?.kind === kind && file.slot === slot) return [path, sha256];
  }
  return null;
}

const keyOf = (bytes: Buffer): Certificate | Failure =>
  attempt(() => ephemeralCertificate(parseEnrolment(bytes)));
