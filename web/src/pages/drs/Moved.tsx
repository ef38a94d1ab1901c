// SPDX-License-Identifier: Apache-2.0
// What a recommendation moves: a virtual machine from host to host, or a disk of it from pool to pool.
import type { Obj } from '../../api/client'
import { Ref } from '../../kit/Name'
import { t } from '../../texts'

export type Kind = 'host' | 'storage'

/** What was advised before disks were has no kind. */
export const isOf = (advice: Obj, kind: Kind) => (advice.kind === 'storage') === (kind === 'storage')

export const ends = (advice: Obj) => (isOf(advice, 'storage') ? [advice.from_pool, advice.to_pool] : [advice.from, advice.to])

export function Moved({ advice, max }: { advice: Obj; max: number }) {
  const [from, to] = ends(advice)
  return (
    <span className="fromto">
      {isOf(advice, 'storage') && <><span className="tag">{advice.disk}</span> </>}
      <Ref id={from} max={max} /> <span className="faint" aria-label={t('to_host')}>→</span> <Ref id={to} max={max} />
    </span>
  )
}
