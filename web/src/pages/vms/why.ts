// SPDX-License-Identifier: Apache-2.0
// Why a VM may be slow, by what was measured of it and of its host: plain rules, the weightiest first. What none of them explains is said to be unexplained.

/** Means over the last minutes; undefined: not measured. Shares are percent. */
export interface Measured { cpu?: number; wait?: number; memory?: number; hostCpu?: number; hostIo?: number; hostMemoryFree?: number; activity?: string }
export type Cause = 'activity' | 'cpu_wait' | 'host_memory' | 'host_io' | 'memory' | 'cpu'
export interface Finding {
  cause: Cause
  /** The figure that says so. */
  share?: number
  /** What helps: a verb, or a setting of the VM. */
  cure?: { verb: string } | { fields: string[] }
  /** By what those are found who may be at it. */
  neighbours?: 'cpu' | 'memory' | 'disk'
}

const MOST = 3
const LIMITS = { wait: 10, cpu: 90, memory: 92, hostIo: 20, hostMemoryFree: 5 }

export function whySlow(m: Measured): Finding[] {
  const found: Finding[] = []
  const add = (cause: Cause, tells: boolean, more: Omit<Finding, 'cause'> = {}) => tells && found.push({ cause, ...more })
  add('activity', !!m.activity)
  add('cpu_wait', (m.wait ?? 0) >= LIMITS.wait, { share: m.wait, cure: { verb: 'migrate' }, neighbours: 'cpu' })
  add('host_memory', (m.hostMemoryFree ?? 100) < LIMITS.hostMemoryFree, { share: m.hostMemoryFree, cure: { verb: 'migrate' }, neighbours: 'memory' })
  add('host_io', (m.hostIo ?? 0) >= LIMITS.hostIo, { share: m.hostIo, cure: { verb: 'migrate_storage' }, neighbours: 'disk' })
  add('memory', (m.memory ?? 0) >= LIMITS.memory, { share: m.memory, cure: { fields: ['memory_bytes', 'memory_max_bytes'] } })
  add('cpu', (m.cpu ?? 0) >= LIMITS.cpu, { share: m.cpu, cure: { fields: ['cpu'] } })
  return found.slice(0, MOST)
}

/** The mean of what was measured since then; undefined: nothing was. */
export function meanSince(points: [number, number | null][], sinceMs: number): number | undefined {
  const known = points.filter((point): point is [number, number] => point[0] >= sinceMs && point[1] !== null)
  return known.length ? known.reduce((sum, [, value]) => sum + value, 0) / known.length : undefined
}
