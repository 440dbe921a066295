import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Failure, unable } from '../../src/failure.ts';
import { encodeArmor } from '../../src/openpgp/armor.ts';
import { DEFAULT_POLICY, parseProject } from '../../src/policy/project.ts';
import type { Project } from '../../src/policy/project.ts';
import { formatProject } from '../../src/policy/project-text.ts';
import type { ProjectText } from '../../src/policy/project-text.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { generateNoteKey } from '../../src/tlog/note.ts';
import { craftKey } from '../harness/craft.ts';
import { craftCertificate } from '../harness/craft-certificate.ts';
import { GnupgHome } from '../harness/gnupg.ts';

const log = generateNoteKey('example.org/hello').verifier;
const keys = new Map<string, Buffer>();
let home: GnupgHome;
beforeAll(() => {
  home = new GnupgHome();
  const make = (name: string, algorithm: string) =>
    keys.set(`keys/${name}.pgp`, home.export(home.generate({ userId: `${name}@example.org`, algorithm })));
  make('release', 'rsa3072');
  make('ada', 'ed25519');
  make('bob', 'nistp256');
});
afterAll(() => home.close());

const text: ProjectText = {
  name: 'hello',
  threshold: 1,
  depot: 'https://depot.example.org/hello',
  insecureHttp: false,
  log: { origin: 'example.org/hello', key: log },
  signerTokenSha256: sha256Hex('token'),
  releaseCertificate: 'keys/release.pgp',
  approverCertificates: ['keys/ada.pgp', 'keys/bob.pgp'],
  encryptionCertificate: null,
  hash: 'sha256',
  policy: DEFAULT_POLICY,
};
const read = (toml: string): Project =>
  parseProject(toml, (path) => {
    const key = keys.get(path);
    if (key === undefined) throw new Error(`no file ${path}`);
    return key;
  });
/** What is said about the file: code and message. */
function complaint(toml: string): string {
  try {
    read(toml);
  } catch (error) {
    if (error instanceof Failure && error.kind === 'usage') return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
}
const edited = (from: string | RegExp, to: string): string => {
  const whole = formatProject(text);
  expect(whole).toMatch(from);
  return whole.replace(from, to);
};

describe('what init writes is what everybody reads', () => {
  test('the whole of it', () => {
    const project = read(formatProject(text));
    expect(project.name).toBe('hello');
    expect(project.threshold).toBe(1);
    expect(project.depot).toBe('https://depot.example.org/hello');
    expect(project.insecureHttp).toBe(false);
    expect(project.log.key.text).toBe(log);
    expect(project.signerTokenSha256).toBe(text.signerTokenSha256);
    expect(project.release.certificate.userIds).toEqual(['release@example.org']);
    expect(project.release.hash).toBe('sha256');
    expect(project.approvers.map(({ userIds }) => userIds[0])).toEqual([
      'ada@example.org',
      'bob@example.org',
    ]);
    expect(project.encryption).toBeNull();
    expect(project.policy).toEqual(DEFAULT_POLICY);
  });
  test('with everything set otherwise', () => {
    const policy = {
      patterns: ['*.gz', 'docs/**'],
      maxCount: 5,
      maxBytes: 2 ** 40,
      maxTotalBytes: 2 ** 41,
      maxLifetime: 5400,
      schemes: ['enrol', 'mac'] as const,
      leastQuorum: 2,
      digestMode: true,
    };
    const project = read(
      formatProject({
        ...text,
        threshold: 2,
        depot: null,
        insecureHttp: true,
        encryptionCertificate: 'keys/release.pgp',
        hash: 'sha512',
        policy,
      }),
    );
    expect(project).toMatchObject({ threshold: 2, depot: null, insecureHttp: true, policy });
    expect(project.release.hash).toBe('sha512');
    expect(project.encryption?.userIds).toEqual(['release@example.org']);
  });
  test('threshold is a line of its own at the top level', () => {
    expect(formatProject(text)).toMatch(/^threshold = 1$/m);
  });
  test('optional tables and keys may be left out; the policy has its defaults', () => {
    const short = formatProject(text)
      .replace(/\[policy\][^]*/, '')
      .replace(/^hash = .*$/m, '');
    expect(read(short)).toMatchObject({ policy: DEFAULT_POLICY, release: { hash: 'sha256' } });
    expect(read(`${short}[policy]\nmax-count = 3\n`).policy).toEqual({ ...DEFAULT_POLICY, maxCount: 3 });
  });
  test('a key file may be armored', () => {
    keys.set(
      'keys/armored.asc',
      Buffer.from(encodeArmor('PGP PUBLIC KEY BLOCK', keys.get('keys/ada.pgp') ?? Buffer.alloc(0))),
    );
    expect(read(edited('keys/ada.pgp', 'keys/armored.asc')).approvers[0]?.userIds).toEqual([
      'ada@example.org',
    ]);
  });
  test('the longest lifetime is a year', () => {
    expect(read(edited('"1d"', '"365d"')).policy.maxLifetime).toBe(365 * 86_400);
  });
  test('a depot may be a directory, by its absolute path', () => {
    expect(read(edited('https://depot.example.org/hello', '/srv/my depot')).depot).toBe('/srv/my depot');
  });

  test('a slash at the end of the depot URL means nothing', () => {
    expect(read(edited('org/hello"', 'org/hello/"')).depot).toBe('https://depot.example.org/hello');
  });
});

describe('what is not known, missing or wrong is named', () => {
  test.each<[string, string | RegExp, string, RegExp]>([
    ['an unknown key', 'threshold = 1', 'threshold = 1\nthreshhold = 2', /top level.*threshhold/],
    ['an unknown key of a table', 'max-count', 'max-cuont', /\[policy\].*max-cuont/],
    ['an unknown table', '[policy]', '[polcy]', /polcy/],
    ['a key of a later version', '[policy]', '[policy]\ndigest = true', /digest/],
    ['no threshold', 'threshold = 1', '', /threshold/],
    ['threshold 0', 'threshold = 1', 'threshold = 0', /threshold: not from 1 to 2/],
    ['a threshold that nobody reaches', 'threshold = 1', 'threshold = 3', /threshold: not from 1 to 2/],
    ['a threshold in words', 'threshold = 1', 'threshold = "1"', /threshold: not an integer/],
    ['a threshold of one and a half', 'threshold = 1', 'threshold = 1.5', /threshold: not an integer/],
    ['not TOML', 'threshold = 1', 'threshold: 1', /line \d+: Invalid TOML/],
    ['a number that no double holds', 'max-count = 100000', 'max-count = 9007199254740993', /line \d+/],
    ['a key twice', 'threshold = 1', 'threshold = 1\nthreshold = 1', /line \d+/],
    ['a prototype', 'threshold = 1', 'threshold = 1\n__proto__ = 1', /__proto__/],
    ['no approver', /\[\[approvers\]\][^]*\[policy\]/, '[policy]', /approvers is missing/],
    [
      'approvers in one table',
      /\[\[approvers\]\][^]*\[policy\]/,
      '[approvers]\ncertificate = "keys/ada.pgp"\n[policy]',
      /\[\[approvers\]\]: not an array/,
    ],
    [
      'a depot in a directory of who knows where',
      'https://depot.example.org/hello',
      'srv/depot',
      /depot: neither/,
    ],
    ['a depot with a password', 'https://depot', 'https://ada:secret@depot', /depot: neither/],
    ['a depot with a query', 'org/hello', 'org/hello?x=1', /depot: neither/],
    ['a depot of another scheme', 'https://', 'ftp://', /depot: neither/],
    [
      'insecure in words',
      '# insecure-http = true',
      'insecure-http = "no"',
      /insecure-http: not true or false/,
    ],
    ['the key of another log', 'origin = "example.org/hello"', 'origin = "example.org/other"', /\[log\] key/],
    ['no log key', /^key = .*$/m, 'key = "example.org/hello+00000000+AAAA"', /verifier key/],
    ['a token that is no digest', /token-sha256 = .*/, 'token-sha256 = "secret"', /token-sha256/],
    ['a hash that nobody asks for', 'hash = "sha256"', 'hash = "sha1"', /hash: not sha256 or sha512/],
    ['a pattern of another language', 'artifacts = ["**"]', 'artifacts = ["[a-z]*"]', /artifacts.*pattern/],
    ['no pattern', 'artifacts = ["**"]', 'artifacts = []', /artifacts/],
    ['more artifacts than a record holds', 'max-count = 100000', 'max-count = 100001', /max-count/],
    ['a lifetime without a unit', 'max-lifetime = "1d"', 'max-lifetime = "24"', /max-lifetime/],
    ['a lifetime of years', 'max-lifetime = "1d"', 'max-lifetime = "366d"', /max-lifetime/],
    ['a key path that leaves', 'keys/ada.pgp', '../ada.pgp', /certificate: not a path/],
    ['a key path from the root', 'keys/ada.pgp', '/keys/ada.pgp', /certificate: not a path/],
    ['a hidden key', 'keys/ada.pgp', 'keys/.ada.pgp', /certificate: not a path/],
  ])('%s', (_, from, to, message) => {
    const said = complaint(edited(from, to));
    expect(said).toMatch(/^config-malformed: countersign\.toml: /);
    expect(said).toMatch(message);
    expect(said).not.toContain('\n');
  });
  test('a key file that is no certificate is named', () => {
    keys.set('keys/broken.pgp', Buffer.from('broken'));
    expect(complaint(edited('keys/ada.pgp', 'keys/broken.pgp'))).toMatch(/approvers.*keys\/broken\.pgp/);
  });
  test('a key file that cannot be read is the fault of whoever reads it', () => {
    expect(() => read(edited('keys/ada.pgp', 'keys/gone.pgp'))).toThrow('no file keys/gone.pgp');
    const fault = unable('disk', 'the disk is gone');
    const fail = (): Buffer => {
      throw fault;
    };
    expect(() => parseProject(formatProject(text), fail)).toThrow(fault);
  });
});

describe('a key signs one kind of thing', () => {
  test('a release key that approves', () => {
    expect(complaint(edited('keys/ada.pgp', 'keys/release.pgp'))).toMatch(
      /^key-in-two-roles: .*release.*approver 1/,
    );
  });
  test('one approver as two', () => {
    expect(complaint(edited('keys/bob.pgp', 'keys/ada.pgp'))).toMatch(
      /^key-in-two-roles: .*approver 1.*approver 2/,
    );
  });
  test('one signing subkey below two primary keys', () => {
    const created = 1_700_000_000;
    const shared = craftKey('ed25519', created);
    for (const name of ['carol', 'dave'])
      keys.set(
        `keys/${name}.pgp`,
        craftCertificate(craftKey('ed25519', created), { subkeys: [{ key: shared }] }),
      );
    const two = edited('keys/ada.pgp', 'keys/carol.pgp');
    expect(complaint(two)).toBe('accepted');
    expect(complaint(two.replace('keys/bob.pgp', 'keys/dave.pgp'))).toContain(shared.fingerprint);
  });
  test('certificates may be shared for encryption', () => {
    const project = read(formatProject({ ...text, encryptionCertificate: 'keys/ada.pgp' }));
    expect(project.encryption?.primary.fingerprint).toBe(project.approvers[0]?.primary.fingerprint);
  });
});
