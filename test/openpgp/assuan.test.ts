/** The agent's line protocol and its signatures, as a server that is no gpg-agent might speak them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { AssuanConnection, escapeParameter } from '../../src/openpgp/assuan.ts';
import { gpgFailure } from '../../src/openpgp/gpg-error.ts';
import { signatureIntegers } from '../../src/openpgp/sexp.ts';

const directory = mkdtempSync(join(tmpdir(), 'cs-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const closers: (() => void)[] = [];
afterEach(() => closers.splice(0).forEach((close) => close()));

/** A server that answers each line as told; returns a connection to it. */
async function serve(answer: (line: string, socket: Socket) => void, greeting = 'OK at your service\n') {
  const path = join(directory, `s${closers.length}-${Date.now()}`);
  const server = createServer((socket) => {
    socket.write(greeting);
    socket.on('data', (chunk: Buffer) =>
      chunk
        .toString()
        .trimEnd()
        .split('\n')
        .forEach((line) => answer(line, socket)),
    );
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const opened = AssuanConnection.open(path, 2_000);
  closers.push(() => server.close());
  void opened.then(
    (connection) => closers.push(() => connection.close()),
    () => {},
  );
  return opened;
}

test('data comes in lines and pieces, with percent escapes; status lines are kept, comments passed over', async () => {
  const connection = await serve((_, socket) => {
    socket.write('S PROGRESS x\n# a comment\nD one%0Atwo%');
    setTimeout(() => socket.write(Buffer.from('25\nD \xff\x00+\nOK done\n', 'latin1')), 10);
  });
  expect(await connection.command('GIVE', 2_000)).toEqual({
    ok: true,
    data: Buffer.from('one\ntwo%\xff\x00+', 'latin1'),
    status: ['PROGRESS x'],
  });
});

test('an error is a number and a text', async () => {
  const connection = await serve((_, socket) => socket.write('ERR 67108881 No secret key <GPG Agent>\n'));
  expect(await connection.command('X', 2_000)).toEqual({
    ok: false,
    error: 67108881,
    text: 'No secret key <GPG Agent>',
  });
});

test('a question to us is cancelled', async () => {
  const heard: string[] = [];
  const connection = await serve((line, socket) => {
    heard.push(line);
    socket.write(line === 'CAN' ? 'ERR 83886179 cancelled\n' : 'INQUIRE PASSPHRASE\n');
  });
  expect(await connection.command('PKSIGN', 2_000)).toMatchObject({ ok: false });
  expect(heard).toEqual(['PKSIGN', 'CAN']);
});

describe('commands that are sent before those in front of them are answered', () => {
  const ask = (connection: AssuanConnection, lines: readonly string[], timeoutMs = 2_000) =>
    Promise.allSettled(lines.map((line) => connection.command(line, timeoutMs)));

  test('get their answers in order, also when these come late and in pieces', async () => {
    const lines = ['A', 'B', 'C', 'D'];
    const heard: string[] = [];
    const connection = await serve((line, socket) => {
      if (heard.push(line) < lines.length) return; // not before it has all of them
      const answers = 'S for A\nD a\nOK\nERR 67108881 not B\nD c%0A\nD cc\nOK\nS for D\nOK\n';
      const pieces = answers.split('');
      const next = (): void => {
        const piece = pieces.shift();
        if (piece !== undefined) socket.write(piece, () => setImmediate(next));
      };
      next();
    });
    const data = (text: string, status: string[]) => ({ ok: true, data: Buffer.from(text), status });
    expect((await ask(connection, lines)).map((end) => end.status === 'fulfilled' && end.value)).toEqual([
      data('a', ['for A']),
      { ok: false, error: 67108881, text: 'not B' },
      data('c\ncc', []),
      data('', ['for D']),
    ]);
  });

  test('are lost together when one is asked back: what is behind it would be taken for the answer', async () => {
    const heard: string[] = [];
    const connection = await serve((line, socket) => {
      heard.push(line);
      socket.write(line === 'A' ? 'OK\n' : 'INQUIRE PASSPHRASE\n');
    });
    const [a, ...others] = await ask(connection, ['A', 'B', 'C']);
    expect(a).toMatchObject({ status: 'fulfilled' });
    for (const end of others) expect(end).toMatchObject({ reason: { code: 'agent-protocol' } });
    expect(heard).not.toContain('CAN');
  });

  test('have each its own time, from when those before are answered', async () => {
    const connection = await serve((_, socket) => {
      setTimeout(() => socket.write('OK\n'), 200);
      setTimeout(() => socket.write('OK\n'), 400);
    });
    const ends = await ask(connection, ['A', 'B'], 350);
    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
    const late = await serve((line, socket) => void (line === 'A' && socket.write('OK\n')));
    expect(await ask(late, ['A', 'B', 'C'], 100)).toMatchObject([
      { status: 'fulfilled' },
      { reason: { code: 'agent-timeout' } },
      { reason: { code: 'agent-timeout' } },
    ]);
  });

  test('are no more than were asked: an answer too many is nonsense', async () => {
    const connection = await serve((_, socket) => socket.write('OK\nOK\n'));
    await connection.command('A', 2_000);
    await expect(connection.command('B', 2_000)).rejects.toMatchObject({ code: 'agent-protocol' });
  });
});

test.each([
  ['nonsense', 'what?\n', 'agent-protocol'],
  ['a line without end', 'D '.padEnd(5_000, 'x'), 'agent-protocol'],
  [
    'data without end',
    'D xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n'.repeat(1_000),
    'agent-protocol',
  ],
  ['status without end', 'S PROGRESS x\n'.repeat(2_000), 'agent-protocol'],
  ['nothing', '', 'agent-timeout'],
])('%s ends the connection for good', async (_, text, code) => {
  const connection = await serve((_line, socket) => socket.write(text));
  await expect(connection.command('X', 200)).rejects.toMatchObject({ kind: 'unable', code });
  await expect(connection.command('Y', 200)).rejects.toMatchObject({ kind: 'unable', code });
});

test.each(['# busy\n', 'S PROGRESS x\n', 'D x\n'])(
  'who says %j again and again wins no time',
  async (text) => {
    const connection = await serve((_line, socket) => {
      const busy = setInterval(() => socket.write(text), 20);
      socket.once('close', () => clearInterval(busy));
    });
    await expect(connection.command('X', 300)).rejects.toMatchObject({ code: 'agent-timeout' });
  },
);

test('whoever hangs up is lost', async () => {
  const connection = await serve((_, socket) => socket.destroy());
  await expect(connection.command('X', 2_000)).rejects.toMatchObject({ code: 'agent-lost' });
});

test.each(['ERR 1 go away\n', 'SSH-2.0\n'])('the greeting %j is none', async (greeting) => {
  await expect(serve(() => {}, greeting)).rejects.toMatchObject({
    kind: 'unable',
    code: 'agent-unreachable',
  });
});

test('a command is one line', async () => {
  const connection = await serve(() => {});
  await expect(connection.command('SIGKEY\nPKSIGN', 100)).rejects.toThrow('not one Assuan line');
});

test('parameters are escaped', () => {
  expect(escapeParameter('sign it: 100 %\nü')).toBe('sign+it:+100+%25%0A%C3%BC');
});

describe('the signature in an S-expression', () => {
  const atom = (bytes: Buffer) => Buffer.concat([Buffer.from(`${bytes.length}:`), bytes]);
  const rs = (algorithm: string, r: Buffer, s: Buffer) =>
    Buffer.concat([
      Buffer.from(`(7:sig-val(${algorithm}(1:r`),
      atom(r),
      Buffer.from(')(1:s'),
      atom(s),
      Buffer.from(')))'),
    ]);

  test('Ed25519 numbers have 32 bytes, also where their zeros are missing or too many', () => {
    const short = Buffer.alloc(31, 1);
    const long = Buffer.concat([Buffer.alloc(1), Buffer.alloc(32, 2)]);
    expect(signatureIntegers(rs('5:eddsa', short, long))).toEqual([
      Buffer.concat([Buffer.alloc(1), short]),
      Buffer.alloc(32, 2),
    ]);
  });

  test('ECDSA and RSA numbers have no zeros in front; a byte may look like a bracket', () => {
    const r = Buffer.from('00282928', 'hex');
    expect(signatureIntegers(rs('5:ecdsa', r, r))).toEqual([r.subarray(1), r.subarray(1)]);
    expect(signatureIntegers(Buffer.from('(7:sig-val(3:rsa(1:s2:\0a)))\0'))).toEqual([Buffer.from('a')]);
  });

  test.each([
    '', '(', ')', '()', '7:sig-val', '(7:sig-val)', '(7:sig-val(3:dsa(1:r1:a)(1:s1:a)))', '(7:sig-val(3:rsa(1:s1:a)))x',
    '(7:sig-val(3:rsa(1:s1:\0)))', '(7:sig-val(3:rsa(1:s1:a)(1:s1:b)))', '(7:sig-val(3:rsa(1:s9:a)))', '(7:sig-val(3:rsa(1:s1:a))(3:rsa))',
    '(7:sig-val(5:ecdsa(1:r1:a)))', '(7:sig-val(3:rsa(1:s(1:a))))', '((((((((((', `(7:sig-val(5:eddsa(1:r33:${'a'.repeat(33)})(1:s1:a)))`,
  ])('%j is none', (text) => {
    expect(() => signatureIntegers(Buffer.from(text))).toThrow('not a signature');
  }); // prettier-ignore
});

test.each([
  [67108881, 'agent-no-key'],
  [83886179, 'agent-cancelled'],
  [67108949, 'agent-locked'],
  [83918950, 'agent-locked'],
  [100663383, 'agent-wrong-pin'],
  [100663426, 'agent-pin-blocked'],
  [100663408, 'agent-no-card'],
  [100696144, 'agent-no-card'],
  [100663404, 'agent-card'],
  [67141741, 'agent-no-scdaemon'],
  [67141718, 'agent-memory'],
  [67108864, 'agent-refused'],
])('libgpg-error %d is %s', (error, code) => {
  expect(gpgFailure(error, 'text')).toMatchObject({ kind: 'unable', code });
});
