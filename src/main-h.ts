/** What the signer's host needs, and no more: bundled into one file, `dist/countersign-h.mjs`. */
import { runProgram } from './cli/program.ts';
import { serveJobs } from './host/workers.ts';

// What worker threads do, by kind: each loads only that.
await serveJobs(import.meta.url, {
  artifact: () => import('./signer/artifact.ts'),
  publish: () => import('./tree/publish/artifacts.ts'),
});

process.exitCode = await runProgram(
  [
    {
      title: 'signer',
      verbs: [
        { name: 'init', summary: 'make a project', load: () => import('./cli/init.ts') },
        { name: 'sign', summary: 'examine, sign and publish builds', load: () => import('./cli/sign.ts') },
        { name: 'sync', summary: 'carry what another depot lacks', load: () => import('./cli/sync.ts') },
        {
          name: 'doctor',
          summary: 'what is wrong here, and its cure',
          load: () => import('./cli/doctor.ts'),
        },
        { name: 'log', summary: 'show, verify, prove, monitor the log', load: () => import('./cli/log.ts') },
      ],
    },
  ],
  process.argv.slice(2),
);
