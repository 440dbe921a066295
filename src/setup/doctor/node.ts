/** The Node that runs us. */
import { problem, ok } from './finding.ts';
import type { Check } from './finding.ts';

/** As in package.json, `engines`. */
const OLDEST = [20, 12] as const;

export const checkNode: Check = async ({ version }) => {
  const running = `Node ${process.versions.node}, countersign ${version}`;
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return [ok('node', running)];
  return [problem('node', `${running}: needs Node ${OLDEST.join('.')} or newer`, 'apt install nodejs')];
};
