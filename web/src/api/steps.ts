// SPDX-License-Identifier: Apache-2.0
// What tasks call their steps, as people read it. Only who looks at a task needs it, so it is loaded then.
import { useEffect, useState } from 'react'
import { language } from '../texts'

type Steps = Record<string, string[]>
let known: Steps | undefined

/** A size in the name of a step is what changes in it: "pack (needs at most 20 MiB)". */
const SIZE = / ([0-9.]+ [BKMGTPEi]+)/

export function stepInWords(steps: Steps, name: string): string {
  const size = SIZE.exec(name)?.[1]
  const text = steps[size ? name.replace(size, '{}') : name]?.[language === 'zh' ? 1 : 0]
  if (text) return text.replace('{}', size ?? '')
  const plain = name.replace(/[_-]/g, ' ')
  return plain.charAt(0).toUpperCase() + plain.slice(1)
}

export function useSteps(): (name: string) => string {
  const [, draw] = useState(false)
  useEffect(() => {
    if (!known) import('./generated/steps.json').then((file) => { known = file.default; draw(true) }, () => undefined)
  }, [])
  return (name) => stepInWords(known ?? {}, name)
}
