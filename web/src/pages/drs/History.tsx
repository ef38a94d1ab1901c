// SPDX-License-Identifier: Apache-2.0
import type { Obj } from '../../api/client'
import { word } from '../../api/contract'
import { ago, time } from '../../kit/format'
import { Ref, To } from '../../kit/Name'
import { State } from '../../kit/state/State'
import { useRows } from '../../live/store'
import { t } from '../../texts'
import { isOf, Moved, type Kind } from './Moved'

const HISTORY = 50

/** What came of advice, the last first. */
export function History({ cluster, kind }: { cluster: string; kind: Kind }) {
  const { rows, loading } = useRows('drs-recommendations', { filter: `cluster=${cluster} and kind${kind === 'storage' ? '=' : '!='}storage and state!=pending and state!=accepted`, sort: '-created' }, HISTORY)
  const ended = rows.filter((row: Obj) => isOf(row, kind) && row.state !== 'pending' && row.state !== 'accepted').slice(0, HISTORY)
  if (!loading && !ended.length) return <p className="faint">{t('nothing_moved')}</p>
  return (
    <div className="tablebox free" tabIndex={0} role="region" aria-label={t('history_drs')} data-test="drs-history">
      <table className="plain">
        <thead><tr><th>{t('state')}</th><th>{t('vm')}</th><th>{t('move')}</th><th>{t('reason')}</th><th>{t('by_whom')}</th><th>{t('when')}</th></tr></thead>
        <tbody>
          {ended.map((row) => (
            <tr key={row.id} data-advice={row.id} data-state={row.state}>
              <td><To to={`/drs-recommendations/${row.id}`}><State path="DrsRecommendation.state" value={row.state} /></To></td>
              <td><Ref id={row.vm} max={28} /></td>
              <td><Moved advice={row} max={24} /></td>
              <td dir="auto">{word(row.reason)}{row.note && <div className="faint">{row.note}</div>}</td>
              <td>{row.by === 'system' ? t('by_itself') : row.by ?? '-'}</td>
              <td className="nums" title={time(row.ended)}>{ago(row.ended)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
