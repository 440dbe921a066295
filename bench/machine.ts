/** What a machine is, as far as it bears on its figures. Names nobody. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';

/** One line. */
export function machine(): string {
  const system = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  const hashing = /\bsha_ni\b|\bsha2\b/.test(readFileSync('/proc/cpuinfo', 'utf8'));
  return [
    system,
    `${availableParallelism()} cores ${hashing ? 'with' : 'without'} SHA extensions`,
    `${Math.round(totalmem() / 2 ** 30)} GiB of memory`,
    `Node ${process.versions.node}`,
    ...(['gpg', 'openssl', 'nginx', 'rsync', 'curl'] as const).map(versionOf),
  ].join(', ');
}

function versionOf(program: string): string {
  const [flag, path] = [
    { openssl: 'version', nginx: '-v' }[program] ?? '--version',
    `${process.env['PATH']}:/usr/sbin`,
  ];
  const said = execFileSync('sh', ['-c', `${program} ${flag} 2>&1`], { env: { PATH: path } }).toString();
  return `${program} ${/\d+(?:\.\d+)+/.exec(said)?.[0] ?? ''}`;
}
