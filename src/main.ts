/** The whole program, every role: bundled into one file, `dist/countersign.mjs`. */
import { runProgram } from './cli/program.ts';
import { serveJobs } from './host/workers.ts';

// What worker threads do, by kind: each loads only that.
await serveJobs(import.meta.url, {
  artifact: () => import('./signer/artifact.ts'),
  hash: () => import('./builder/hash-all.ts'),
  state: () => import('./builder/state.ts'),
  publish: () => import('./tree/publish/artifacts.ts'),
  check: () => import('./depot/check/bytes.ts'),
});

process.exitCode = await runProgram(
  [
    {
      title: 'to see it work',
      verbs: [
        {
          name: 'demo',
          summary: 'all roles on this machine, real keys, a real artifact',
          load: () => import('./cli/demo.ts'),
        },
      ],
    },
    {
      title: 'every host',
      verbs: [
        {
          name: 'doctor',
          summary: 'what is wrong here, and its cure',
          load: () => import('./cli/doctor.ts'),
        },
      ],
    },
    {
      title: 'operator',
      verbs: [
        { name: 'approve', summary: 'allow one build', load: () => import('./cli/approve.ts') },
        {
          name: 'endorse',
          summary: 'sign what another asked for, too',
          load: () => import('./cli/endorse.ts'),
        },
        {
          name: 'revoke',
          summary: 'end a build, or withdraw a release',
          load: () => import('./cli/revoke.ts'),
        },
        { name: 'status', summary: 'where each build stands', load: () => import('./cli/status.ts') },
        {
          name: 'user-data',
          summary: 'start a cloud machine with a ticket',
          load: () => import('./cli/user-data.ts'),
        },
      ],
    },
    {
      title: 'builder',
      verbs: [{ name: 'attest', summary: 'seal a build and send it', load: () => import('./cli/attest.ts') }],
    },
    {
      title: 'depot',
      verbs: [
        { name: 'serve', summary: 'serve the depot over HTTP', load: () => import('./cli/serve.ts') },
        {
          name: 'check',
          summary: 'every file of a depot, and mend it',
          load: () => import('./cli/check.ts'),
        },
      ],
    },
    {
      title: 'signer',
      verbs: [
        { name: 'init', summary: 'make a project', load: () => import('./cli/init.ts') },
        { name: 'sign', summary: 'examine, sign and publish builds', load: () => import('./cli/sign.ts') },
        { name: 'sync', summary: 'carry what another depot lacks', load: () => import('./cli/sync.ts') },
      ],
    },
    {
      title: 'witness',
      verbs: [
        { name: 'witness', summary: 'cosign checkpoints of logs', load: () => import('./cli/witness.ts') },
      ],
    },
    {
      title: 'consumer',
      verbs: [
        { name: 'verify', summary: 'is this file what was released?', load: () => import('./cli/verify.ts') },
        { name: 'log', summary: 'show, verify, prove, monitor the log', load: () => import('./cli/log.ts') },
      ],
    },
  ],
  process.argv.slice(2),
  // oxlint-disable-next-line eslint/no-restricted-properties -- its output has left by then
  (status) => process.exit(status),
);
