// The mistakes of `npm run test:mutants`: each in its place, with the tests that must see it.
import { LOG } from './log.mjs';
import { TRUST } from './trust.mjs';

export const MUTANTS = [...LOG, ...TRUST];
