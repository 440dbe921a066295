import { describe, expect, test } from 'vitest';
import { toProjectName } from '../../src/records/names.ts';
import { buildPath } from '../../src/records/paths.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { generateNoteKey, parseSignerKey } from '../../src/tlog/note.ts';
import { ask } from './ask.ts';
import { proofOf, refusalFiles, releaseFiles, signatures } from './release-scene.ts';
import { approvedView, build, otherBuild, project, without } from './scene.ts';
import type { Files } from './scene.ts';

const strangersLog = parseSignerKey(generateNoteKey('example.org/hello').signer);
const otherLog = parseSignerKey(generateNoteKey('example.org/other').signer);
const only = (files: Files, ...names: string[]): Files =>
  new Map([...files].filter(([name]) => names.includes(name)));
const replaced = (files: Files, name: string, bytes: Buffer): Files => new Map(files).set(name, bytes);
const changed = Buffer.from('something else');

describe("a refusal is written on the word of the signer's log", () => {
  test('with its proof, which is written first', async () => {
    expect(await ask(approvedView(), refusalFiles())).toBe('allow refusal.proof refusal.json');
  });
  test('the record alone, the proof alone', async () => {
    expect(await ask(approvedView(), only(refusalFiles(), 'refusal.json'))).toBe(
      '403 write-needs-authenticator',
    );
    expect(await ask(approvedView(), only(refusalFiles(), 'refusal.proof'))).toBe('422 record-missing');
  });
  test('other bytes than the log names', async () => {
    expect(await ask(approvedView(), replaced(refusalFiles(), 'refusal.json', changed))).toBe(
      '403 chain-broken',
    );
  });
  test('a proof under another key of the same name, of another log, without its entry', async () => {
    const by = (signer: typeof strangersLog) =>
      refusalFiles({ proof: (leaf) => proofOf(leaf, { extra: true, signer }) });
    expect(await ask(approvedView(), by(strangersLog))).toBe('403 proof-invalid');
    expect(await ask(approvedView(), by(otherLog))).toBe('403 proof-invalid');
    expect(await ask(approvedView(), refusalFiles({ proof: (leaf) => proofOf(leaf) }))).toBe(
      '403 chain-broken',
    );
  });
  test('a proof of another leaf than the one that it brings', async () => {
    const proof = (leaf: Buffer) => {
      const text = proofOf(Buffer.from('another entry'), { extra: true }).toString();
      return Buffer.from(text.replace(/^extra .*$/m, `extra ${leaf.toString('base64')}`));
    };
    expect(await ask(approvedView(), refusalFiles({ proof }))).toBe('403 proof-invalid');
  });
  test('an entry of another type, of another build, of another project', async () => {
    expect(await ask(approvedView(), refusalFiles({ entry: { type: 'release' } }))).toBe('403 chain-broken');
    expect(await ask(approvedView(), refusalFiles({ entry: { build: otherBuild } }))).toBe(
      '403 chain-broken',
    );
    expect(await ask(approvedView(), refusalFiles(), { build: otherBuild })).toBe('403 build-mismatch');
    const other = { ...project, name: toProjectName('other', 'test') };
    expect(await ask(approvedView(), refusalFiles(), { rules: other })).toBe('403 build-mismatch');
  });
  test('it is final', async () => {
    const view = approvedView().put(buildPath(build), refusalFiles());
    expect(await ask(view, refusalFiles())).toBe('allow');
    expect(
      await ask(view, refusalFiles({ entry: { keys: [], records: { 'refusal.json': sha256Hex('x') } } })),
    ).toBe('409 conflict');
  });
});

describe('a release is written link by link, the proof first', () => {
  const release = releaseFiles();
  const chain = 'log-entry.json release.proof release.json manifest.json signatures.list';
  const withChain = (...names: string[]) => approvedView().put(buildPath(build), only(release, ...names));

  test('all records in one write', async () => {
    expect(await ask(approvedView(), release)).toBe(`allow ${chain}`);
  });
  test('all records and signatures in one write, in whatever order they came', async () => {
    const everything = [...[...signatures].reverse(), ...[...release].reverse()];
    expect(await ask(approvedView(), everything)).toMatch(new RegExp(`^allow ${chain} signatures/`));
  });
  test('one after the other', async () => {
    const view = approvedView();
    for (const names of [
      ['log-entry.json', 'release.proof', 'release.json'],
      ['manifest.json'],
      ['signatures.list'],
    ]) {
      expect(await ask(view, only(release, ...names))).toBe(`allow ${names.join(' ')}`);
      view.put(buildPath(build), only(release, ...names));
    }
    for (const signature of signatures) expect(await ask(view, [signature])).toBe(`allow ${signature[0]}`);
  });
  test('the manifest and the list rest on release.json, whichever comes first', async () => {
    const view = withChain('log-entry.json', 'release.proof', 'release.json');
    expect(await ask(view, only(release, 'signatures.list'))).toBe('allow signatures.list');
  });

  test.each([
    ['release.json before its proof', ['release.json'], []],
    ['the entry without its proof', ['log-entry.json'], []],
    ['the entry and its proof, which everybody has from the log', ['log-entry.json', 'release.proof'], []],
    ['the manifest before release.json', ['manifest.json'], ['log-entry.json', 'release.proof']],
    ['the list before release.json', ['signatures.list'], ['log-entry.json', 'release.proof']],
  ])('%s', async (_, names, there) => {
    expect(await ask(withChain(...there), only(release, ...names))).toBe('403 write-needs-authenticator');
  });
  test('a signature before the list, or before all', async () => {
    const view = withChain('log-entry.json', 'release.proof', 'release.json');
    expect(await ask(view, signatures)).toBe('403 write-needs-authenticator');
    expect(await ask(approvedView(), signatures)).toBe('403 write-needs-authenticator');
  });
  test('the proof without its entry', async () => {
    expect(await ask(approvedView(), only(release, 'release.proof'))).toBe('422 record-missing');
  });

  test('a proof under another key, of another log, of another entry, or none', async () => {
    const entry = release.get('log-entry.json') ?? changed;
    const by = (proof: Buffer) => replaced(release, 'release.proof', proof);
    expect(await ask(approvedView(), by(proofOf(entry, { signer: strangersLog })))).toBe('403 proof-invalid');
    expect(await ask(approvedView(), by(proofOf(entry, { signer: otherLog })))).toBe('403 proof-invalid');
    expect(await ask(approvedView(), by(proofOf(changed)))).toBe('403 proof-invalid');
    expect(await ask(approvedView(), by(changed))).toBe('403 proof-malformed');
  });
  test('a proof with room for what nobody signed', async () => {
    const entry = release.get('log-entry.json') ?? changed;
    const proof = proofOf(entry, { extra: true });
    expect(await ask(approvedView(), replaced(release, 'release.proof', proof))).toBe('403 chain-broken');
  });
  test.each(['approval', 'statement', 'intent', 'refusal', 'conflict'] as const)(
    'an entry of type %s releases nothing',
    async (type) => {
      expect(await ask(approvedView(), releaseFiles({ entry: { type } }))).toBe('403 chain-broken');
    },
  );
  test('the release of another build, or of another project', async () => {
    expect(await ask(approvedView(), release, { build: otherBuild })).toBe('403 build-mismatch');
    expect(await ask(approvedView(), releaseFiles({ release: { build: otherBuild } }))).toBe(
      '403 chain-broken',
    );
    expect(await ask(approvedView(), releaseFiles({ manifest: { build: otherBuild } }))).toBe(
      '403 chain-broken',
    );
    const other = { ...project, name: toProjectName('other', 'test') };
    expect(await ask(approvedView(), release, { rules: other })).toBe('403 build-mismatch');
  });
  test.each(['release.json', 'manifest.json', 'signatures.list'])(
    '%s with other bytes than were logged',
    async (name) => {
      expect(await ask(approvedView(), replaced(release, name, changed))).toBe('403 chain-broken');
    },
  );
  test('another manifest than the entry names', async () => {
    const records = {
      'release.json': sha256Hex(release.get('release.json') ?? ''),
      'manifest.json': sha256Hex('x'),
    };
    expect(await ask(approvedView(), releaseFiles({ entry: { records } }))).toBe('403 chain-broken');
  });

  test('a signature that the list does not have, or with other bytes', async () => {
    const view = withChain(...release.keys());
    expect(await ask(view, [['signatures/other.txt.asc', changed]])).toBe('403 signature-not-listed');
    expect(await ask(view, [['signatures/hello.tar.gz.asc', changed]])).toBe('403 chain-broken');
    const [good] = signatures;
    expect(await ask(view, [...(good ? [good] : []), ['signatures/other.txt.asc', changed]])).toBe(
      '403 signature-not-listed',
    );
    expect(await ask(view, [['signatures/hello.tar.gz.asc', Buffer.alloc(4097)]])).toBe(
      '413 record-too-large',
    );
  });
  test('what is there is never replaced, and is no error again', async () => {
    const view = withChain(...release.keys()).put(buildPath(build), signatures);
    expect(await ask(view, [...release, ...signatures])).toBe('allow');
    const later = releaseFiles({ manifest: { hash: 'sha512' } });
    expect(await ask(view, later)).toBe('409 conflict');
    expect(await ask(view, without(later, 'log-entry.json'))).toBe('409 conflict');
    expect(await ask(view, [['signatures/hello.tar.gz.asc', changed]])).toBe('409 conflict');
  });
});
