/** Which figures are shown, in which order, and what each is compared with. */

export interface Row {
  readonly label: string;
  readonly figure: string;
}

export interface Table {
  readonly section: string;
  readonly title: string;
  /** The figure that the last column divides by. */
  readonly base: string;
  readonly rows: readonly Row[];
}

const rows = (prefix: string, labels: Readonly<Record<string, string>>): Row[] =>
  Object.entries(labels).map(([figure, label]) => ({ label, figure: `${prefix}.${figure}` }));

const large = (hash: 'sha256' | 'sha512', title: string): Table => ({
  section: 'large',
  title,
  base: `large.${hash}.openssl`,
  rows: [
    ...rows(`large.${hash}`, {
      openssl: `**the floor: openssl dgst -${hash}**`,
      'curl into openssl': 'curl from nginx, into openssl dgst',
      curl: 'the script: curl to a file',
      gpgv: 'the script: gpgv',
      gpg: 'the script: gpg --detach-sign',
      sha256sum: 'the script: sha256sum',
      script: '**the script, whole**',
      sign: '**our `sign`: `signSeconds`**',
      publish: 'our `publishSeconds`',
      'sign and publish': '**ours, to published**',
      command: 'the whole command, its start included',
      'sign cpu': 'processor time of `sign`',
      'depot cpu': 'processor time of `serve`',
      'sign memory': 'memory of `sign`',
      'depot memory': 'memory of `serve`',
      'gpg memory': 'memory of gpg',
    }),
    ...(hash === 'sha256'
      ? rows('large', {
          minisign: 'minisign (BLAKE2b)',
          sqv: 'sqv, verifies only',
          'sqv memory': 'memory of sqv',
        })
      : []),
  ],
});

export const TABLES: readonly Table[] = [
  large('sha256', 'One artifact of 2 GiB, SHA-256'),
  large('sha512', 'One artifact of 2 GiB, SHA-512'),
  {
    section: 'parallel',
    title: 'Four artifacts of 512 MiB, depot in a directory',
    base: 'parallel.all cores.sign',
    rows: rows('parallel', {
      'one core.sign': '`signSeconds`, one core',
      'all cores.sign': '`signSeconds`, all cores',
      'one core.publish': '`publishSeconds`, one core',
      'all cores.publish': '`publishSeconds`, all cores',
      'all cores.memory': 'memory of `sign`, all cores',
    }),
  },
  {
    section: 'many',
    title: '10,000 artifacts of 4 KiB',
    base: 'many.script',
    rows: rows('many', {
      script: '**the script over HTTP, measured on 300**',
      'gpg loop': 'gpg --detach-sign in a loop, on 300',
      'gpgv loop': 'gpgv in a loop, on 300',
      minisign: 'minisign, one process',
      pksign: '**the agent: pipelined PKSIGN, Ed25519**',
      signed: '**our `sign`: files by `signSeconds`**',
      'sealed to published': '**ours, sealed to published**',
      sign: '`signSeconds`',
      publish: '`publishSeconds`',
      command: 'the whole command',
      attest: '`attest` on M, upload included',
      'sign cpu': 'processor time of `sign`',
      'depot cpu': 'processor time of `serve`',
      'sign memory': 'memory of `sign`',
      'depot memory': 'memory of `serve`',
      'nistp256/ecdsa.pksign': 'the agent: P-256',
      'nistp256/ecdsa.signed': 'ours: P-256, 1,000 files',
      'rsa3072.pksign': 'the agent: RSA-3072',
      'rsa3072.signed': 'ours: RSA-3072, 200 files',
      'rsa4096.pksign': 'the agent: RSA-4096',
      'rsa4096.signed': 'ours: RSA-4096, 100 files',
      'processes.one': 'programs that `sign` starts for one artifact',
      'processes.many': 'programs that `sign` starts for 1,000',
    }),
  },
  {
    section: 'digest',
    title: 'Digest mode',
    base: 'digest.bare node',
    rows: rows('digest', {
      'bare node': 'bare node',
      'cold sign': 'a cold `sign` of one artifact of 2 GiB, less `publishSeconds`',
      'cold signSeconds': 'its `signSeconds`',
      'bytes one': 'from L to H, one artifact of 2 GiB, log and all records included',
      'bytes one back': 'the release, read back',
      'bytes an artifact': '**from L to H for each artifact more**',
      'bytes an artifact back': 'its signature and its name, read back',
      signed: '`sign`: files by `signSeconds`',
      pksign: 'the agent: pipelined PKSIGN',
      state: 'the hash state of 2 GiB, alone',
      'attest without state': '`attest` of 2 GiB in fetch mode',
      attest: '`attest` of 2 GiB in digest mode',
    }),
  },
  {
    section: 'depot',
    title: 'L: 2 GiB in and out, the list of builds',
    base: 'depot.upload to nginx',
    rows: rows('depot', {
      upload: '**upload, hashed and synced**',
      'upload to nginx': '**upload to nginx: WebDAV PUT**',
      'upload by rsync': 'upload by rsync over ssh',
      'upload cpu': 'processor time of `serve`, upload',
      'upload memory': 'memory of `serve`, upload',
      download: '**download**',
      'download from nginx': '**download from nginx**',
      'download of our directory from nginx': 'download of our directory from nginx',
      'uploads.1': '1 GiB as one upload',
      'uploads.8': '1 GiB as 8 uploads at the same time',
      'uploads.64': '1 GiB as 64 uploads at the same time',
      'uploads.1 memory': 'memory of `serve`, one upload',
      'uploads.8 memory': 'memory of `serve`, 8 uploads',
      'uploads.64 memory': 'memory of `serve`, 64 uploads',
      'list.json.few': 'list of 100 builds, JSON',
      'list.json.many': 'list of 100,000 builds, JSON',
      'list.json.many.first': 'the first time it is asked for',
      'list.html.few': 'list of 100 builds, page',
      'list.html.many': 'list of 100,000 builds, page',
    }),
  },
  {
    section: 'start',
    title: 'Start',
    base: 'start.bare node',
    rows: rows('start', {
      'gpg --version': '`gpg --version`',
      'bare node': '**bare node, an empty module**',
      '--help': '**`countersign --help`**',
      'verify, offline': '**`countersign verify` of a small file, release in a directory**',
      'verify, from the depot': 'the same, release and log from a depot',
    }),
  },
  {
    section: 'log',
    title: 'The log',
    base: 'log.append.floor',
    rows: rows('log', {
      'append.floor': 'the floor: write and fdatasync of a line, nothing else',
      'append.each': "H's journal, an fsync each",
      'append.groups': 'entries that are taken together (`sign --recover`), an fsync for each 100',
      ...Object.fromEntries(
        ['1,000', '10,000', '100,000', '1,000,000'].flatMap((text) => {
          const size = text.replaceAll(',', '');
          return [
            [`verify.${size}`, `whole verification of ${text} entries`],
            [`verify.${size} memory`, 'its memory, at most'],
            [`proof.${size}`, `\`release.proof\` in such a log, without witnesses`],
          ];
        }),
      ),
      entry: 'an entry, on average',
      'entry on disk': "an entry on L's disk, tiles and all",
    }),
  },
];
