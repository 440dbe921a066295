import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Many tests run the built program as a child, as its users do.
    globalSetup: 'test/harness/build.ts',
    pool: 'forks',
    // Most tests wait for children, sockets and disks: a file for each core, not one less, as vitest would have it.
    maxWorkers: '100%',
    // Real gpg, real servers, two cores: slow is not wrong.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A test that meets a proxy or a foreign GnuPG home of its caller would test that instead.
    env: { NO_COLOR: '1', GNUPGHOME: '/nonexistent' },
    unstubEnvs: true,
  },
});
