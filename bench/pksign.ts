/** How fast gpg-agent signs by itself: one kept connection, commands sent ahead, nothing else done. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { execFileSync } from 'node:child_process';
import type { GnupgHome } from '../test/harness/gnupg.ts';

/** Signatures asked for before the first of them is there. */
const AHEAD = 64;

/** Signs so many random digests with one key of a home's agent. Returns signatures a second. */
export async function pksignRate(home: GnupgHome, keygrip: string, count: number): Promise<number> {
  const options = { env: home.env };
  execFileSync('gpgconf', ['--launch', 'gpg-agent'], options);
  const path = execFileSync('gpgconf', ['--list-dirs', 'agent-socket'], options).toString().trim();
  const socket = connect({ path });
  // latin1 keeps each byte a character: a signature is raw bytes
  socket.setEncoding('latin1');
  await once(socket, 'data');

  let [asked, answered, line] = [0, 0, ''];
  const hash = (): string => `SETHASH --hash=sha256 ${randomBytes(32).toString('hex').toUpperCase()}\n`;
  const ask = (): void => {
    for (let text = ''; ; text = '') {
      while (asked < count && asked - answered < AHEAD && text.length < 65_536) {
        text += `${hash()}PKSIGN\n`;
        asked += 1;
      }
      if (text === '') return;
      socket.write(text);
    }
  };
  // two OK for each: of SETHASH and of PKSIGN; one more of SIGKEY
  let oks = -1;
  const start = performance.now();
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('data', (text: string) => {
      const lines = (line + text).split('\n');
      line = lines.pop() ?? '';
      for (const each of lines) {
        if (/^(ERR|INQUIRE)/.test(each)) reject(new Error(`gpg-agent: ${each}`));
        else if (each.startsWith('OK')) oks += 1;
      }
      answered = oks >> 1;
      if (answered === count) resolve();
      else ask();
    });
    socket.write(`SIGKEY ${keygrip}\n`);
  });
  const seconds = (performance.now() - start) / 1000;
  socket.destroy();
  return count / seconds;
}
