// `npm run check`: what is looked at without running it, on all cores. What fails is shown whole.
import { spawn } from 'node:child_process';

/** Slowest first. */
const CHECKS = ['types', 'format', 'lint', 'imports', 'dead-code'];

function check(name) {
  const child = spawn('npm', ['run', '--silent', name], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => said.push(chunk));
  return new Promise((resolve) => {
    child.on('close', (code) => {
      process.stdout.write(Buffer.concat(said));
      if (code !== 0) process.stdout.write(`check: npm run ${name} ended with ${code}\n`);
      resolve(code === 0);
    });
  });
}

const waiting = [...CHECKS];
const lane = async () => {
  let good = true;
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
    good = (await check(name)) && good;
  return good;
};
process.exitCode = (await Promise.all([lane(), lane()])).every(Boolean) ? 0 : 1;
