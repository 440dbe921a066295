/** Which artifacts a build may have, as its approval says it and its ticket repeats it. */
import { MAX_SUBJECTS } from './canonical.ts';
import { closedObject, integer } from './fields.ts';
import { toPatterns } from './pattern.ts';

export interface ArtifactLimits {
  /** A name must match one of them; one without wildcards must be there. */
  readonly patterns: readonly string[];
  readonly maxCount: number;
  /** Of each artifact. */
  readonly maxBytes: number;
  /** Of all of them together. */
  readonly maxTotalBytes: number;
}

/** Reads the limits; throws refused(`record-malformed`). */
export function toArtifactLimits(value: unknown, where: string): ArtifactLimits {
  const fields = closedObject(value, where, ['patterns', 'maxCount', 'maxBytes', 'maxTotalBytes']);
  return {
    patterns: toPatterns(fields.patterns, `${where}.patterns`),
    maxCount: integer(fields.maxCount, `${where}.maxCount`, { min: 1, max: MAX_SUBJECTS }),
    maxBytes: integer(fields.maxBytes, `${where}.maxBytes`),
    maxTotalBytes: integer(fields.maxTotalBytes, `${where}.maxTotalBytes`),
  };
}

export const artifactLimitsJson = (limits: ArtifactLimits) => ({
  patterns: [...limits.patterns],
  maxCount: limits.maxCount,
  maxBytes: limits.maxBytes,
  maxTotalBytes: limits.maxTotalBytes,
});
