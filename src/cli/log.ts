/** `countersign log`: what anybody may ask of a log. */
import { commandGroup } from './command.ts';

export { log as command };

const log = commandGroup({
  name: 'log',
  about: `The signer writes down what it does before it does it, for all to see: each approval, statement, intent, release
and refusal. Nothing that the depot shows of it is believed: all of it must be under a checkpoint that the log's key
signed.`,
  verbs: [
    {
      name: 'show',
      summary: 'its entries; which releases followed from a key, a person, a time',
      load: () => import('./log/show.ts'),
    },
    { name: 'verify', summary: 'is all of it what was signed?', load: () => import('./log/verify.ts') },
    {
      name: 'prove',
      summary: 'a proof of one entry, for somebody without the log',
      load: () => import('./log/prove.ts'),
    },
    {
      name: 'monitor',
      summary: 'what is new, and whether it is as it should be',
      load: () => import('./log/monitor.ts'),
    },
  ],
  example: [
    'countersign log show --since 2d',
    'countersign log show --releases --key 0F2A9D3C54B1E677',
    'countersign log verify',
  ],
});
