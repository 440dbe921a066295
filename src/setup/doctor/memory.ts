/** Where the memory of this program could end up on a disk. */
import { readFile } from 'node:fs/promises';
import { note, ok } from './finding.ts';
import type { Check, Finding } from './finding.ts';

export const checkMemory: Check = async ({ role }) => {
  const secret = role === 'builder' ? 'the ticket' : 'the log key and the signer token';
  const findings: Finding[] = [];
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const [, soft = '0'] = /^Max core file size +(\S+)/m.exec(limits) ?? [];
  if (soft !== '0')
    findings.push(note('memory', `a crash may write ${secret} into a core dump`, 'ulimit -c 0'));
  const swaps = await readFile('/proc/swaps', 'utf8').catch(() => '');
  // zram is memory
  const areas = swaps
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s/)[0] ?? '')
    .filter((area) => area !== '' && !area.includes('zram'));
  if (areas.length > 0)
    findings.push(
      note(
        'memory',
        `${secret} may be written to swap (${areas.join(', ')})`,
        'swapoff -a   # or encrypt it',
      ),
    );
  return findings.length > 0 ? findings : [ok('memory', 'no core dumps, no swap on a disk')];
};
