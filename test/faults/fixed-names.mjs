// Loaded before the program when it runs under strace: names of temporary files are counted instead of random, so
// that `strace -P` can be told the one file whose write shall fail. Nothing else of the program is changed.
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';

const TEMPORARY_NAME_BYTES = 12;
const { randomBytes } = crypto;
let made = 0;

crypto.randomBytes = (size, ...more) =>
  size === TEMPORARY_NAME_BYTES && more.length === 0
    ? Buffer.from(String(++made).padStart(2 * size, '0'), 'hex')
    : randomBytes(size, ...more);
syncBuiltinESMExports();
