// `node scripts/prepare.mjs demo|test|bench`: makes a fresh clone ready, on a machine with git, Node and npm.
// Installs the npm packages of the lock file and the Debian packages that are missing (where it may,
// saying so; else one line says what to install), then builds. Does nothing twice. No dependencies.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Debian package, a program that it brings, and what it is needed for. */
const DEBIAN = [
  { name: 'gnupg', program: 'gpg', for: ['demo', 'test', 'bench'] },
  { name: 'gpg-agent', program: 'gpg-agent', for: ['demo', 'test', 'bench'] },
  { name: 'gpgconf', program: 'gpgconf', for: ['demo', 'test', 'bench'] },
  { name: 'gpgv', program: 'gpgv', for: ['demo', 'test', 'bench'] },
  { name: 'util-linux', program: 'flock', for: ['demo', 'test', 'bench'] },
  { name: 'git', program: 'git', for: ['test'] },
  { name: 'sqv', program: 'sqv', for: ['test', 'bench'] },
  { name: 'strace', program: 'strace', for: ['test', 'bench'] },
  { name: 'socat', program: 'socat', for: ['test'] },
  { name: 'curl', program: 'curl', for: ['test', 'bench'] },
  { name: 'jq', program: 'jq', for: ['test'] },
  { name: 'openssl', program: 'openssl', for: ['test', 'bench'] },
  { name: 'iproute2', program: 'ip', for: ['test'] },
  { name: 'nftables', program: 'nft', for: ['test'] },
  { name: 'openssh-client', program: 'ssh', for: ['test', 'bench'] },
  { name: 'openssh-server', program: 'sshd', for: ['test', 'bench'] },
  { name: 'rsync', program: 'rsync', for: ['test', 'bench'] },
  { name: 'systemd-container', program: 'systemd-nspawn', for: ['test'] },
  { name: 'exfat-fuse', program: 'mount.exfat-fuse', for: ['test'] },
  { name: 'exfatprogs', program: 'mkfs.exfat', for: ['test'] },
  { name: 'scdaemon', program: '../lib/gnupg/scdaemon', for: ['test'] },
  { name: 'pcscd', program: 'pcscd', for: ['test'] },
  { name: 'vsmartcard-vpcd', program: 'vpcd-config', for: ['test'] },
  { name: 'gnupg-pkcs11-scd', program: 'gnupg-pkcs11-scd', for: ['test'] },
  { name: 'softhsm2', program: 'softhsm2-util', for: ['test'] },
  { name: 'opensc', program: 'pkcs11-tool', for: ['test'] },
  { name: 'faketime', program: 'faketime', for: ['test'] },
  { name: 'systemd', program: 'systemd-socket-activate', for: ['test'] },
  { name: 'diffoscope-minimal', program: 'diffoscope', for: ['test'] },
  { name: 'python3-yaml', program: '../lib/python3/dist-packages/yaml', for: ['test'] },
  // before a depot; or what users would do instead, and what measures both
  { name: 'nginx', program: 'nginx', for: ['test', 'bench'] },
  { name: 'minisign', program: 'minisign', for: ['bench'] },
  { name: 'time', program: 'time', for: ['bench'] },
  // another implementation of our log's formats, and a compiler for it: gccgo needs half the room of golang-go
  { name: 'gccgo-go', program: 'go', for: ['test'] },
  { name: 'golang-golang-x-mod-dev', program: '../share/gocode/src/golang.org/x/mod/sumdb', for: ['test'] },
];

/** Runs a command; a package that it installs starts no daemon, unless the machine has its own policy for that. */
const STARTING_NOTHING = `
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT INT TERM
  printf '#!/bin/sh\\nexit 101\\n' > $policy && chmod 755 $policy
fi
DEBIAN_FRONTEND=noninteractive "$@"`;

function say(line) {
  process.stderr.write(`prepare: ${line}\n`);
}

function stop(line) {
  say(line);
  process.exit(3);
}

function run(command, args, env = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, ...env },
  });
  return result.status === 0;
}

function onPath(program) {
  // not everybody has the system's programs on their PATH
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'].some((directory) => {
    try {
      accessSync(join(directory || '.', program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function changed(file) {
  return statSync(join(root, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function checkNode() {
  const wanted = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).engines.node;
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [wantedMajor, wantedMinor] = wanted.replace('>=', '').split('.').map(Number);
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return;
  stop(`Node ${process.versions.node} is too old: install Node ${wanted}`);
}

function installNpmPackages() {
  if (changed('node_modules/.package-lock.json') >= changed('package-lock.json')) return;
  say('installing the npm packages of package-lock.json');
  if (!run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])) {
    stop('could not install them: run `npm ci --ignore-scripts` and see why');
  }
}

function installDebianPackages(task) {
  const missing = DEBIAN.filter((row) => row.for.includes(task) && !onPath(row.program));
  if (missing.length === 0) return;
  const names = missing.map((row) => row.name);
  const byHand = `missing: install ${names.join(' ')} (Debian package names)`;
  const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  if (!onPath('apt-get') || (asRoot.length > 0 && !run('sudo', ['-n', 'true']))) stop(byHand);

  say(`installing Debian packages: ${names.join(' ')}`);
  const asAdmin = (script, args) => {
    const [command, ...rest] = [...asRoot, 'sh', '-c', script, 'sh', ...args];
    return run(command, rest);
  };
  const aptGet = (...args) => asAdmin(STARTING_NOTHING, ['apt-get', '-q', ...args]);
  const install = () => aptGet('install', '--yes', '--no-install-recommends', ...names);
  // The lists of a fresh machine are empty or old: then update, and once more.
  if (!install() && !(aptGet('update') && install())) stop(byHand);
  // tests and benchmarks start their own: no machine is to be open to the network after them
  if (names.includes('openssh-server')) asAdmin('update-rc.d ssh disable', []);
  if (names.includes('nginx')) asAdmin('update-rc.d nginx disable', []);
}

const task = process.argv[2];
if (!['demo', 'test', 'bench'].includes(task)) stop('usage: node scripts/prepare.mjs demo|test|bench');
checkNode();
installNpmPackages();
installDebianPackages(task);
if (!run(process.execPath, ['scripts/build.mjs'])) stop('the build failed');
