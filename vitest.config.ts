import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Many tests run the built program as a child, as its users do.
    globalSetup: 'test/harness/build.ts',
    pool: 'forks',
    // Tests wait for children, sockets and disks: one file more than cores, so that none is idle meanwhile.
    maxWorkers: availableParallelism() + 1,
    // Real gpg, real servers, two cores: slow is not wrong.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A test that meets a proxy or a foreign GnuPG home of its caller would test that instead.
    env: { NO_COLOR: '1', GNUPGHOME: '/nonexistent' },
    unstubEnvs: true,
  },
});
