// The arrows of the source tree. They point one way:
//   main → cli → roles, setup → audit → tree → policy → records, tlog, openpgp
// failure.ts is for all; host (files, processes, clock, network) for the edges only.
const roles = ['operator', 'builder', 'depot', 'signer', 'consumer', 'witness'];
const edges =
  '^src/(cli|setup|operator|builder|depot|signer|consumer|witness|tree|host)/|^src/main|^src/openpgp/(gpgv|gpg|sealed|agent|assuan)\\.ts$';
const pure =
  '^src/(records|tlog|policy)/|^src/openpgp/(?!(gpgv|gpg|sealed|agent|assuan)\\.ts$)|^src/failure\\.ts$';
// What reads or changes the world. node:crypto is not here: hashing and verifying are pure.
const world =
  '^(node:)?(fs|fs/promises|net|http|http2|https|tls|dgram|dns|child_process|process|os|cluster|worker_threads|readline|readline/promises|timers|timers/promises|tty)$';

const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

module.exports = {
  forbidden: [
    forbid('no-cycles', 'two files that need each other are one file', {}, { circular: true }),
    ...roles.map((role) =>
      forbid(
        `${role}-alone`,
        'each role runs on a host of its own and trusts no other: roles never import one another',
        { path: `^src/${role}/` },
        { path: `^src/(${roles.filter((other) => other !== role).join('|')})/` },
      ),
    ),
    forbid(
      'pure-stays-pure',
      'records, tlog, policy and the core of openpgp see no file, clock, process or network',
      { path: pure },
      { path: world, dependencyTypes: ['core'] },
    ),
    forbid(
      'host-for-edges',
      'host/ is used by edges only',
      { path: '^src/', pathNot: edges },
      { path: '^src/host/' },
    ),
    forbid(
      'records-at-the-bottom',
      'records know nobody above them',
      { path: '^src/records/' },
      { path: '^src/', pathNot: '^src/(records/|failure\\.ts$)' },
    ),
    forbid(
      'tlog-at-the-bottom',
      'the log core knows records at most',
      { path: '^src/tlog/' },
      { path: '^src/', pathNot: '^src/(tlog|records)/|^src/failure\\.ts$' },
    ),
    forbid(
      'openpgp-at-the-bottom',
      'openpgp knows records at most (its edges also host)',
      { path: '^src/openpgp/' },
      { path: '^src/', pathNot: '^src/(openpgp|records|host)/|^src/failure\\.ts$' },
    ),
    forbid(
      'policy-below-the-tree',
      'policy is handed a view of the tree, it does not know the tree',
      { path: '^src/policy/' },
      { path: '^src/', pathNot: '^src/(policy|records|tlog|openpgp)/|^src/failure\\.ts$' },
    ),
    forbid(
      'policy-calls-no-edge',
      'a verdict starts no gpgv: it is handed what gpgv said',
      { path: '^src/policy/' },
      { path: '^src/openpgp/(gpgv|gpg|sealed|agent|assuan)\\.ts$' },
    ),
    forbid(
      'tree-below-roles',
      'the tree knows no role',
      { path: '^src/tree/' },
      { path: '^src/(cli|setup|operator|builder|depot|signer|consumer|witness)/' },
    ),
    forbid(
      'audit-below-roles',
      'audit is what anybody may ask of a log: it knows no role, and reaches the world through the tree alone',
      { path: '^src/audit/' },
      { path: `^src/(cli|setup|host|${roles.join('|')})/` },
    ),
    forbid(
      'audit-for-few',
      'whoever signs, serves or builds decides by the log itself',
      { path: '^src/', pathNot: '^src/(audit|cli|setup|consumer)/' },
      { path: '^src/audit/' },
    ),
    forbid(
      'roles-below-cli',
      'roles report to whoever called them; they do not know the command line or the set-up',
      { path: `^src/(${roles.join('|')})/` },
      { path: '^src/(cli|setup)/|^src/main' },
    ),
    forbid(
      'host-at-the-bottom',
      'host knows nobody',
      { path: '^src/host/' },
      { path: '^src/', pathNot: '^src/host/|^src/failure\\.ts$' },
    ),
    forbid(
      'packages-of-the-depot',
      'the web framework is for the depot alone',
      { path: '^src/', pathNot: '^src/depot/' },
      { path: 'node_modules/(hono|@hono)/' },
    ),
    forbid(
      'packages-of-the-builder',
      'hash states are made by the builder, and finished by code that can be read',
      { path: '^src/', pathNot: '^src/builder/' },
      { path: 'node_modules/hash-wasm/' },
    ),
    forbid(
      'packages-of-all',
      'smol-toml is the one package that everything may use',
      { path: '^src/' },
      { path: 'node_modules/', pathNot: 'node_modules/(smol-toml|hono|@hono|hash-wasm|@types/node)/' },
    ),
    forbid(
      'openpgpjs-for-tests',
      'openpgp (LGPL) is a cross-check of the tests',
      { path: '^(src|scripts)/' },
      { path: 'node_modules/openpgp/' },
    ),
    forbid('no-test-code', 'the program does not ship its tests', { path: '^src/' }, { path: '^test/' }),
    forbid('nothing-missing', 'an import that cannot be found', {}, { couldNotResolve: true }),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
