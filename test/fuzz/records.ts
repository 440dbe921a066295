/** Records, lists, names and the project file. */
import { Failure } from '../../src/failure.ts';
import { durationSeconds } from '../../src/policy/duration.ts';
import { DEFAULT_POLICY, parseProject } from '../../src/policy/project.ts';
import { formatProject } from '../../src/policy/project-text.ts';
import { encodeCanonical, parseCanonical, RECORD_MAX } from '../../src/records/canonical.ts';
import {
  decodeBase64Strict,
  decodeBase64Url,
  isArtifactName,
  isTimestamp,
  timestamp,
  timestampDate,
  toArtifactName,
  toBuildId,
  toFingerprint,
  toProjectName,
  toSha256,
  toSlot,
  toVersion,
} from '../../src/records/names.ts';
import { isTreePath, parseBuildFile } from '../../src/records/paths.ts';
import { isPattern, matchesAny } from '../../src/records/pattern.ts';
import { sha256Hex } from '../../src/records/sha256.ts';
import { formatSignaturesList, parseSignaturesList } from '../../src/records/signatures-list.ts';
import { formatTicket, parseTicket } from '../../src/records/ticket.ts';
import { records, ticket } from '../records/samples.ts';
import type { Target } from './fuzz.ts';
import { holds, same, seed } from './oracle.ts';

const text = (input: Buffer): string => input.toString('utf8');
/** One of several readers of the same text: it may refuse it, and the next is asked. */
const attempt = (call: () => unknown): void => {
  try {
    call();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
};

/** A pattern as a regular expression: quick to write, slow to match. */
const asRegExp = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern.replaceAll(/[.+]/g, '\\$&').replaceAll(/\*{2,}|[*?]/g, (wild) => (wild.length > 1 ? '[^]*' : wild === '*' ? '[^/]*' : '[^/]'))}$`,
  );

const KEYS = new Map(['ed25519.pgp', 'rsa.pgp', 'nist.asc'].map((name) => [`keys/${name}`, seed(name)]));
const PROJECT = formatProject({
  name: 'hello',
  threshold: 2,
  depot: 'https://depot.example.org',
  insecureHttp: false,
  log: { origin: 'example.org/hello-signer', key: seed('log-key.verifier').toString() },
  signerTokenSha256: sha256Hex('token'),
  releaseCertificate: 'keys/ed25519.pgp',
  approverCertificates: ['keys/rsa.pgp', 'keys/nist.asc'],
  encryptionCertificate: 'keys/ed25519.pgp',
  hash: 'sha512',
  policy: { ...DEFAULT_POLICY, patterns: ['hello-*.tar.gz', 'docs/**'] },
});

export const recordTargets: readonly Target[] = [
  ...records.map(({ name, bytes, again }): Target => ({
    name: name.replaceAll(' ', '-'),
    seeds: [bytes],
    words: ['"', ',', ':', '{}', '[]', 'null', 'true', '0', '""', '\\u0061', '2026-02-30T00:00:00Z'],
    read: (input) => same(again(input), input),
  })),
  {
    name: 'canonical',
    seeds: records.map(({ bytes }) => bytes),
    words: [
      '1e21',
      '1E5',
      '0.1',
      '-0',
      '\\ud83d\\ude00',
      '\\n',
      'true',
      'null',
      '9007199254740991',
      '{}',
      '[]',
    ],
    read: (input) => {
      const value = parseCanonical(input, { maxBytes: RECORD_MAX, what: 'fuzz' });
      same(encodeCanonical(value), input);
      holds(JSON.stringify(value).length >= 0, 'JSON of JSON');
    },
  },
  {
    name: 'ticket-text',
    seeds: [Buffer.from(formatTicket(ticket))],
    read: (input) => same(formatTicket(parseTicket(text(input))), text(input).trim()),
  },
  {
    name: 'signatures-list',
    seeds: [
      formatSignaturesList(
        new Map(['SHA256SUMS.asc', 'a/b.asc', 'app-1.0.tgz.asc'].map((name) => [name, sha256Hex(name)])),
      ),
    ],
    words: ['\n', '  ', '.asc', 'SHA256SUMS.asc', '../'],
    read: (input) => same(formatSignaturesList(parseSignaturesList(input)), input),
  },
  {
    name: 'patterns',
    seeds: ['dist/a/b.deb\ndist/**/*.deb\n*.tgz', 'ba\n?*a', 'x\n**', 'axbxc\na*b*c\na?b?c'].map((all) =>
      Buffer.from(all),
    ),
    words: ['*', '**', '***', '?', '/', '\n', '.', '+'],
    read: (input) => {
      const [name = '', ...patterns] = text(input).split('\n');
      const legal = patterns.filter(isPattern);
      const matches = matchesAny(legal, name);
      // a regular expression backtracks: it is asked about small ones alone
      if (name.length > 40 || legal.some((pattern) => pattern.replaceAll(/[^*]/g, '').length > 5)) return;
      const expected = legal.some((pattern) => asRegExp(pattern).test(name));
      holds(matches === expected, `${matches}, where regular expressions say ${expected}`);
    },
  },
  {
    name: 'names',
    seeds: [
      'app-1.0.tar.gz',
      'dist/linux/a+b~1.deb',
      'hello',
      '1.2.3+git~1',
      'b1',
      '01jd9v7q3m4n5p6r7s8t9vwxyz',
    ]
      .concat(['builds/01jd9v7q3m4n5p6r7s8t9vwxyz/statements/b1.2.json.sig', `signatures/a.asc`])
      .concat([`approval.json.${'A'.repeat(40)}.sig`, `blobs/${sha256Hex('')}`])
      .map((name) => Buffer.from(name)),
    words: [
      '/',
      '.',
      '..',
      '.asc',
      '.SIG',
      'CON',
      'countersign',
      'SHA256SUMS',
      '-',
      '.2',
      '.json',
      '%2e',
      '\\',
    ],
    read: (input) => {
      const name = text(input);
      for (const reader of [
        toArtifactName,
        toVersion,
        toProjectName,
        toSlot,
        toBuildId,
        toFingerprint,
        toSha256,
      ])
        attempt(() => same(reader(name, 'fuzz'), name));
      if (isArtifactName(name)) {
        holds(isTreePath(name), 'an artifact that is no path of a tree');
        same(new URL(`http://host/a/${name}`).pathname, `/a/${name}`, 'another path in a URL');
      }
      if (parseBuildFile(name) !== null)
        holds(isTreePath(name), 'a file of a build that is no path of a tree');
      // what it cannot be, it says
      toArtifactName(name, 'fuzz');
    },
  },
  {
    name: 'fields',
    seeds: ['2026-11-22T12:00:00Z', 'AAECAwQF', '-_-_', '4h', '90s'].map((field) => Buffer.from(field)),
    words: ['=', '==', '\n', '-', '_', '+', '/', 'Z', '.000', '+00:00', '60', '24'],
    read: (input) => {
      const field = text(input);
      if (isTimestamp(field)) same(timestamp(timestampDate(field)), field);
      const seconds = durationSeconds(field);
      holds(
        seconds === null || (Number.isSafeInteger(seconds) && seconds > 0),
        `a length of time of ${seconds}`,
      );
      attempt(
        () =>
          decodeBase64Url(field, 'fuzz') && same(decodeBase64Url(field, 'fuzz').toString('base64url'), field),
      );
      same(decodeBase64Strict(field, 'fuzz').toString('base64'), field);
    },
  },
  {
    name: 'project',
    seeds: [Buffer.from(PROJECT), Buffer.from(PROJECT.replaceAll(/^#.*\n/gm, ''))],
    words: [
      'threshold = 2',
      '[log]',
      '[[approvers]]',
      '"""',
      "'''",
      '= ',
      '{',
      'inf',
      '0x10',
      '1979-05-27',
      '#',
    ],
    read: (input) => {
      const project = parseProject(text(input), (path) => KEYS.get(path) ?? seed('document'));
      holds(
        project.threshold >= 1 && project.threshold <= project.approvers.length,
        'a threshold out of reach',
      );
    },
  },
];
