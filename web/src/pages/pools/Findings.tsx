// SPDX-License-Identifier: Apache-2.0
// What hosts found when they tried a pool: what is wrong first, then advice; what is well when asked for.
import { useState } from 'react'
import type { PoolFinding } from '../../api/generated/types'
import { PartTable } from '../../kit/Details'
import { Glyph, Icon } from '../../kit/state/glyphs'
import { labelOf } from '../../kit/Value'
import { t } from '../../texts'

const ORDER = ['failed', 'advice', 'ok']
const TEXT = (name: 'reason' | 'advice') => ({ title: labelOf('PoolFinding', name), cell: (finding: PoolFinding) => <span dir="auto">{finding[name]}</span> })

export function Findings({ findings }: { findings: PoolFinding[] }) {
  const [all, setAll] = useState(false)
  const count = (result: string) => findings.filter((one) => one.result === result).length
  const failed = count('failed')
  const advised = count('advice')
  const well = count('ok')
  const level = failed ? 'bad' : advised ? 'warn' : 'ok'
  const shown = findings.filter((one) => all || one.result !== 'ok').sort((a, b) => ORDER.indexOf(a.result ?? '') - ORDER.indexOf(b.result ?? ''))
  return (
    <div className="stack" data-test="pool-findings">
      <p className={failed ? undefined : 'checkok'} role="status" data-test="pool-said"><Glyph name={level === 'ok' ? 'tick' : level === 'warn' ? 'triangle' : 'cross'} colour={level} /> {failed ? t('pool_failed', { n: failed }) : advised ? t('pool_advised', { n: advised }) : t('pool_fine')}</p>
      {shown.length > 0 && <PartTable type="PoolFinding" rows={shown.map((finding, i) => ({ ...finding, key: i }))} paths={['result', 'host', 'check', 'found']} own={[TEXT('reason'), TEXT('advice')]} />}
      {well > 0 && <button type="button" className="grouphead" aria-expanded={all} onClick={() => setAll(!all)} data-test="pool-all"><Icon name={all ? 'down' : 'right'} size={12} /> {t('pool_well', { n: well })}</button>}
    </div>
  )
}
