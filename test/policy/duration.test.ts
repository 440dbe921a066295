import { describe, expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../src/policy/duration.ts';

describe('lengths of time', () => {
  test.each([
    ['90s', 90],
    ['10m', 600],
    ['4h', 14_400],
    ['1d', 86_400],
    ['3650d', 315_360_000],
  ])('%s', (text, seconds) => {
    expect(parseDuration(text, 'test')).toBe(seconds);
  });
  test('are written in the largest unit that fits', () => {
    for (const text of ['1s', '90s', '1m', '61m', '4h', '25h', '1d', '365d'])
      expect(formatDuration(parseDuration(text, 'test'))).toBe(text);
    expect(formatDuration(3600)).toBe('1h');
  });
  test.each([
    '',
    '4',
    'h',
    '0h',
    '-4h',
    '+4h',
    '4 h',
    '4H',
    '1.5h',
    '1h30m',
    '1e3s',
    '4h\n',
    '3651d',
    '99999d',
    '999999999s',
  ])('%j is none', (text) => {
    expect(() => parseDuration(text, '--expires')).toThrow(/--expires/);
  });
});
