// SPDX-License-Identifier: Apache-2.0
// What a verb on many objects is expected to take: dry runs of it, so many objects at most, those with the same settings in one batch.
import { useEffect, useState } from 'react'
import { dryRun, type Obj } from '../../api/client'
import type { Op } from '../../api/contract'
import type { MigrationForecast } from '../../api/generated/types'

const MOST = 50
const REST_MS = 600

/** Of those that nothing stands against; empty while it is asked, and where `wanted` is false. */
export function useForecasts(plural: string, op: Op, objects: Obj[], argsOf: (object: Obj) => Record<string, unknown>, wanted: boolean): MigrationForecast[] {
  const [said, setSaid] = useState<{ of: string; forecasts: MigrationForecast[] }>({ of: '', forecasts: [] })
  const alike = new Map<string, string[]>()
  if (wanted) for (const object of objects.slice(0, MOST)) {
    const args = JSON.stringify(argsOf(object))
    alike.set(args, [...(alike.get(args) ?? []), object.id])
  }
  const key = JSON.stringify([...alike])
  useEffect(() => {
    if (key === '[]') return
    let here = true
    const ask = async () => {
      const forecasts: MigrationForecast[] = []
      for (const [args, ids] of JSON.parse(key) as [string, string[]][]) {
        const answer = await dryRun('POST', `/${plural}/batch`, { verb: op.name, ids, args: args === '{}' ? undefined : JSON.parse(args) })
        if (!here) return
        for (const { forecast } of answer.results ?? []) if (forecast) forecasts.push(forecast)
      }
      setSaid({ of: key, forecasts })
    }
    const timer = setTimeout(() => void ask().catch(() => undefined), REST_MS) // what stands against it is said when it is asked for
    return () => {
      here = false
      clearTimeout(timer)
    }
  }, [plural, op, key])
  return said.of === key ? said.forecasts : []
}
