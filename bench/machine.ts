/** What a machine is, as far as it bears on its figures. Names nobody. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

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

/** How many cores are busy, through a second in which we do nothing; of a virtual machine, what others have of its cores too. */
export async function busyCores(): Promise<number> {
  const [before, start] = [busySeconds(), performance.now()];
  await sleep(1000);
  const busy = (busySeconds() - before) / ((performance.now() - start) / 1000);
  return Number(busy.toFixed(2));
}

/** proc(5): user, nice, system, not idle and iowait, irq, softirq and steal, in hundredths of a second. */
function busySeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = readFileSync(
    '/proc/stat',
    'latin1',
  )
    .slice('cpu '.length)
    .trim()
    .split(/\s+/, 8)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) / 100;
}
