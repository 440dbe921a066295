/** Variables that change from outside what Node or GnuPG do. Their values are not shown: some hold passwords. */
import { stat } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { word } from '../../host/shell.ts';
import { note, ok, warning } from './finding.ts';
import type { Check, Finding, Host } from './finding.ts';

type Effect = readonly [level: typeof note, effect: string];

const EFFECTS: Readonly<Record<string, Effect>> = {
  NODE_OPTIONS: [warning, 'can load other code into this program, and switch its checks off'],
  NODE_TLS_REJECT_UNAUTHORIZED: [
    warning,
    'asks Node to believe any server; countersign does not obey, other programs do',
  ],
  NODE_DEBUG: [note, 'makes Node print what it does'],
  LD_PRELOAD: [warning, 'loads other code into this program and into gpg'],
  SSL_CERT_FILE: [note, 'changes which certificate authorities OpenSSL trusts for the depot'],
  SSL_CERT_DIR: [note, 'changes which certificate authorities OpenSSL trusts for the depot'],
};

const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'];

export const checkEnvironment: Check = async (host) => {
  const findings: Finding[] = [];
  for (const [name, [level, effect]] of Object.entries(EFFECTS))
    if (isSet(host, name))
      findings.push(level('environment', `${name} is set: it ${effect}`, `unset ${name}`));
  const proxies = PROXIES.flatMap((name) => [name, name.toLowerCase()]).filter((name) => isSet(host, name));
  if (proxies.length > 0)
    findings.push(
      note(
        'environment',
        `${proxies.join(', ')}: countersign uses no proxy, it connects to the depot itself`,
        `unset ${proxies.join(' ')}`,
      ),
    );
  findings.push(...(await extraAuthorities(host)), ...gnupgHome(host));
  return findings.length > 0 ? findings : [ok('environment', 'no variable that changes Node or GnuPG')];
};

const isSet = ({ env }: Host, name: string): boolean => (env[name] ?? '') !== '';

async function extraAuthorities({ env }: Host): Promise<Finding[]> {
  const file = env['NODE_EXTRA_CA_CERTS'];
  if (!file) return [];
  const status = await stat(file).catch(() => null);
  if (status === null)
    return [
      warning(
        'environment',
        `NODE_EXTRA_CA_CERTS names ${file}, which is not there: Node goes on without it`,
        'unset NODE_EXTRA_CA_CERTS, or name the file that there is',
      ),
    ];
  if ((status.mode & 0o002) !== 0)
    return [
      warning(
        'environment',
        `NODE_EXTRA_CA_CERTS names ${file}, which everybody on this host may write`,
        `chmod o-w ${word(file)}`,
      ),
    ];
  const what = `NODE_EXTRA_CA_CERTS: the certificate authorities in ${file} are trusted for the depot too`;
  return [note('environment', what, 'unset NODE_EXTRA_CA_CERTS if the depot’s certificate does not need it')];
}

function gnupgHome({ env, cwd }: Host): Finding[] {
  const home = env['GNUPGHOME'];
  if (!home || isAbsolute(home)) return [];
  const text = `GNUPGHOME is ${home}, relative: which keys there are depends on where a command is started`;
  return [warning('environment', text, `export GNUPGHOME=${word(resolve(cwd, home))}`)];
}
