/** What the threads of `jobs-program.ts` do, and what is asked of them: a job a way to end. */
import { parentPort, threadId } from 'node:worker_threads';
import { unable } from '../../src/failure.ts';
import type { Work } from '../../src/host/workers.ts';

export interface Ask {
  readonly what: 'square' | 'where' | 'hold' | 'refuse' | 'errno' | 'bug' | 'crash' | 'exit' | 'uncloneable';
  readonly number?: number;
}

export const work: Work<Ask, unknown, string> = async ({ what, number = 0 }, { progress, signal }) => {
  switch (what) {
    case 'square':
      progress(`squaring ${number}`);
      return number * number;
    case 'where':
      return { threadId, argv: process.argv.slice(2), execArgv: process.execArgv, env: { ...process.env } };
    case 'hold':
      return new Promise((_resolve, reject) => {
        // what keeps a thread alive, and is never done
        const timer = setInterval(() => {}, 1000);
        signal.addEventListener('abort', () => {
          clearInterval(timer);
          reject(new Error('work was told'));
        });
        progress('holding');
      });
    case 'refuse':
      throw unable('network', 'it broke', 'mend it', Object.assign(new Error('below'), { code: 'EPIPE' }));
    case 'errno':
      throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    case 'bug':
      return (null as unknown as string).length;
    case 'crash':
      setImmediate(() => {
        throw new Error('uncaught');
      });
      return new Promise(() => {});
    case 'exit':
      // nothing keeps the thread up any more
      parentPort?.close();
      return new Promise(() => {});
    case 'uncloneable':
      return () => {};
  }
};
